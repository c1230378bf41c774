/* Programs: their start, their end, and what the gateway may do to them. */
#ifndef PROCESS_H
#define PROCESS_H

#include "chan.h"

struct spawn {
  u32 flags, credit;
  u16 cols, rows, xpixel, ypixel;
  struct bytes modes, program, cwd, warn;
  u32 argc, envc;
  u8 *argv, *env; /* where the first one's length stands: wire.h */
  bool sftp;      /* not a program: this helper's own sftp server, started in `cwd` */
  bool read_only; /* of the sftp server: nothing may be changed */
  const u8 *token; /* of the sftp server: shown on a line of its own, if one can be had; NULL: it has pipes */
};

/* What a child gets of the descriptors that were made for it. */
struct ends {
  int in, out, err; /* the slave thrice, for a pty; its own line twice */
  int status;       /* close-on-exec; a failure is told here: u32 stage, u32 errno */
  u32 pty;          /* number of /dev/pts, behind SSH_TTY */
};

void process_spawn(u32 id, const struct spawn *request);
void process_status(struct chan *c);  /* its status pipe has something to say */
void process_monitor(struct chan *c); /* its monitor has */
void process_children(void);          /* SIGCHLD came */
void process_settle(struct chan *c);  /* sends EXIT and CLOSED when it is time */
void process_signal(struct chan *c, int signal);
void process_resize(struct chan *c, u16 cols, u16 rows, u16 xpixel, u16 ypixel);

/* CLOSE: the channel is gone, its processes are seen to. */
void session_end(struct chan *c, u8 mode);
/* Sees to all of them; returns when it wants to be called next, 0: nothing to do. */
u64 session_tick(void);
u32 sessions_ending(void);
void session_monitor_gone(struct chan *c);

/* In the child; neither returns. */
void child_run(const struct spawn *request, const struct ends *ends) __attribute__((noreturn));
void child_fail(int status, u32 stage, int error) __attribute__((noreturn));
void monitor_run(const struct spawn *request, const struct ends *ends, int control) __attribute__((noreturn));

/* Between a monitor and the helper, one message a packet. */
enum { MONITOR_PID = 'P', MONITOR_EXIT = 'X', MONITOR_KILL = 'K', MONITOR_RELEASE = 'R' };
struct monitor_message {
  u8 what, exit[3];
  int pid;
};

#endif
