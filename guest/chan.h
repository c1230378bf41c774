/* A channel: a program, a socket or a listener, and its place in the table. */
#ifndef CHAN_H
#define CHAN_H

#include "addr.h"
#include "guest.h"

enum kind {
  KIND_FREE,
  KIND_PROCESS,
  KIND_SOCKET,
  KIND_LISTENER,
  KIND_ENDING, /* CLOSED was sent, its processes are still being seen to; it has no id any more */
};

struct process {
  int pid;         /* the session's leader, and so the session's id; 0: none yet */
  int status, monitor; /* descriptors */
  int monitor_pid; /* ours to wait for; 0: none, or dead for certain */
  int master;      /* of a pty that nobody has open any more: closed with the channel, as it hangs up what still runs */
  bool pty, monitored;
  bool own_line;   /* its stdin and stdout are its own affair: no `in`, no `out`, and no DATA either way */
  bool dead;       /* it exited and is held as a zombie, which keeps the kernel from giving its number away */
  bool exit_sent;
  u8 exit[3];      /* the payload of EXIT */
  u32 after_death; /* bytes read since */
  u64 pipe_device, pipes[3]; /* what they are to fstat(2), without a pty */
  /* KIND_ENDING */
  u8 mode;
  bool signalled, alive;
  u64 deadline;
};

struct connecting {
  struct address_list addresses;
  u32 next, port;
  int error;   /* of the last address tried */
  bool lookup; /* a name is being resolved */
  char path[UNIX_PATH_SIZE];
  u64 give_up;
};

struct listener {
  char path[UNIX_PATH_SIZE]; /* "": tcp */
  u64 device, inode;
  bool own_directory; /* made for it, and removed with it */
};

struct chan {
  u32 id, slot, generation;
  u8 kind;
  bool open; /* OPENED was sent */
  /* Program: it reads `in`, writes `out` and `err`. A pty or a socket is `in` and `out` at once. -1: closed. */
  int in, out, err;
  bool in_ready, out_ready, err_ready;
  bool out_hup, err_hup; /* no writer is left */
  bool queued;           /* stands in the line of those with something to read */
  bool in_eof;           /* the gateway's EOF came */
  u32 credit;            /* DATA we may still send */
  u32 allowance;         /* DATA the gateway may still send */
  u32 consumed;          /* what the program took and was not granted again yet */
  struct ring queue;     /* DATA the program did not take yet */
  u64 due;               /* when to try again; 0: nothing to try */
  u16 hash_next;
  union {
    struct process process;
    struct connecting connecting;
    struct listener listener;
  };
};

bool chans_init(u32 limit); /* false: no memory */
u32 chans_open(void);       /* ids in use */
bool chans_full(void);
u32 chans_used(void); /* slots ever used: the bound of a walk with chan_at */
struct chan *chan_at(u32 slot);
struct chan *chan_find(u32 id);
struct chan *chan_new(u32 id, enum kind kind); /* NULL: the table is full */
/* Its id is unknown from here on; its descriptors are closed, its queue dropped. */
void chan_retire(struct chan *c);
void chan_free(struct chan *c);

void chan_watch(struct chan *c, enum watch what, int fd, u32 events);
void chan_await_room(struct chan *c, bool wanted); /* of WATCH_BOTH */
void chan_close_in(struct chan *c);
void chan_close_out(struct chan *c);
void chan_close_err(struct chan *c);
void chan_due(struct chan *c, u64 when);
extern u32 chans_due; /* how many are: the table is walked for them only when there is one */

void chan_send(struct chan *c, u8 type, const void *payload, u32 n);
void chan_closed(struct chan *c);
void chan_opened(struct chan *c, u32 value); /* OPENED, and the gateway may send WINDOW_SIZE; nothing past an own line */
void send_fail(u32 id, int error, u8 stage);

#endif
