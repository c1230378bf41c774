/* docs/guest-protocol.md in numbers, and a reader of payloads that cannot pass their end. src/guest/frames.ts has the same
 * numbers for the gateway; test/guest/protocol-numbers.test.ts compares the three. */
#ifndef WIRE_H
#define WIRE_H

#include "str.h"

enum {
  VERSION = 1,
  FRAME_HEADER = 8,
  FRAME_MAX = 65536,
  REQUEST_MAX = 1 << 20,
  CHANNELS_MAX = 1024,
  ENV_MAX = 4096,
  WINDOW_SIZE = 256 << 10, /* credit of a channel, gateway to program */
  HELPER_ID = 1u << 31,    /* set in the ids that the helper chooses */
};

enum {
  F_HELLO = 1,
  F_INIT = 2,
  F_PING = 3,
  F_PONG = 4,
  F_SHUTDOWN = 5,
  F_SWITCH = 6,
  F_SWITCHED = 7,
  F_PART = 10,
  F_SPAWN = 11,
  F_CONNECT = 12,
  F_LISTEN = 13,
  F_SFTP = 14,
  F_OPENED = 15,
  F_FAIL = 16,
  F_ACCEPT = 17,
  F_DATA = 20,
  F_DATA2 = 21,
  F_EOF = 22,
  F_EOF2 = 23,
  F_WINDOW = 24,
  F_RESIZE = 25,
  F_SIGNAL = 26,
  F_CLOSE = 27,
  F_EXIT = 28,
  F_CLOSED = 29,
  F_UNREAD = 30,
};

enum { FEATURE_SFTP = 1, FEATURE_RESOLVER = 2, FEATURE_OWN_LINE = 4 };
enum { SPAWN_PTY = 1, SPAWN_MONITOR = 2, SPAWN_STAND_IN = 4 };
enum { SFTP_READ_ONLY = 1, SFTP_OWN_LINE = 2 };
enum { LISTEN_UNLINK = 1, LISTEN_DIRECTORY = 2 }; /* of a unix socket */
enum { KIND_TCP = 0, KIND_UNIX = 1 };
enum { CLOSE_HANGUP = 0, CLOSE_TERMINATE = 1, CLOSE_TREE = 2 };
enum { STAGE_RESOURCES, STAGE_PTY, STAGE_EXEC, STAGE_RESOLVE, STAGE_CONNECT, STAGE_LISTEN };

struct bytes {
  u8 *at;
  u32 n;
};

/* After the first field that does not fit, every further one is empty and `bad` stays set: one check at the end. */
struct cursor {
  u8 *at, *end;
  bool bad;
};

static inline struct cursor cursor_over(struct bytes b) { return (struct cursor){b.at, b.at + b.n, false}; }
u8 *take(struct cursor *c, u32 n); /* NULL when there are not n bytes left */
u8 take_u8(struct cursor *c);
u16 take_u16(struct cursor *c);
u32 take_u32(struct cursor *c);
struct bytes take_string(struct cursor *c);
struct bytes take_name(struct cursor *c); /* a string without NUL */
/* u32 n, n strings without NUL: returns n, sets `first` to where the first one's length stands. */
u32 take_names(struct cursor *c, u8 **first);
static inline bool cursor_done(const struct cursor *c) { return !c->bad && c->at == c->end; }

#endif
