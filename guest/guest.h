/* The helper's state: one process, one thread, one of each. */
#ifndef GUEST_H
#define GUEST_H

#include "line.h"

struct chan;

struct guest {
  int epoll, signals;
  struct line exec;    /* stdin and stdout */
  struct line socket;  /* after SWITCH */
  struct line *line;   /* the one of them that carries the frames */
  u64 now;             /* milliseconds, taken once a turn of the loop */

  bool initialised, draining; /* INIT came; SHUTDOWN came */
  bool ending;                /* the conversation is over, sessions are being hung up */
  int exit_code;
  u64 ending_limit;
  u32 lease, grace;
  u64 lease_until;
  struct rlimit64 descriptors; /* RLIMIT_NOFILE as the engine gave it, for the programs */

  struct bytes request; /* PARTs of the request being assembled; REQUEST_MAX + 1 bytes of room */
  u32 request_channel;  /* 0: none */
};
extern struct guest guest;

/* What an epoll event is about: a channel's descriptor, by slot and generation, or one of the helper's own. */
enum watch {
  WATCH_IN,
  WATCH_OUT,
  WATCH_BOTH, /* a pty or a socket */
  WATCH_ERR,
  WATCH_STATUS,  /* a child's way to say that execve failed */
  WATCH_MONITOR, /* a monitor's control socket */
  WATCH_EXEC_IN,
  WATCH_EXEC_OUT,
  WATCH_SOCKET,
  WATCH_SIGNALS,
  WATCH_LOOKUP,
};
u64 watch_key(enum watch what, u32 slot, u32 generation);
/* Edge triggered: an event sets a flag, EAGAIN takes it back. */
int watch(int fd, u64 key, u32 events);
/* A pty or a unix socket is announced as writable whenever the other end reads, and each time would wake us for nothing:
 * so those are asked about only from EAGAIN to the event. Asked anew, epoll looks at once, and no event is missed. */
enum { WATCH_INPUT = EPOLLIN | EPOLLRDHUP };
void watch_room(int fd, u64 key, bool wanted);
void unwatch_close(int *fd);

/* A line for the gateway's log. Never the bytes of a session. */
void note(const char *what, const char *detail, u64 number);
/* The conversation ends: every session is hung up, then the helper exits. Idempotent; the first reason counts. */
void finish(int code);
/* The peer broke the protocol. */
void malformed(const char *what, u32 channel);

#endif
