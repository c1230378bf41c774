/* A transport: frames in, frames out, never a blocking call. */
#ifndef LINE_H
#define LINE_H

#include "ring.h"
#include "wire.h"

enum {
  INPUT_SIZE = 2 * (FRAME_MAX + FRAME_HEADER),
  OUTPUT_DATA = 256 << 10,
  /* Kept free of DATA. Input is not looked at while less than EVENTS is free, so answers to frames cannot fill it; what
   * a channel says unasked (OPENED or FAIL, EXIT, EOF, EOF2, UNREAD, CLOSED and the at most four WINDOWs that its queue
   * is good for) is under 128 bytes, and ACCEPT waits as input does. So a control frame always finds room. */
  OUTPUT_REPLIES = 32 << 10,
  OUTPUT_EVENTS = 128 * CHANNELS_MAX,
  OUTPUT_SIZE = OUTPUT_DATA + OUTPUT_REPLIES + OUTPUT_EVENTS,
};

struct line {
  int in, out; /* -1: not there. A socket is both. */
  bool readable, writable;
  bool failed; /* writing ended in an error: the other side is gone */
  u8 *input;
  u32 start, end; /* of what was read and not yet handled */
  struct ring output;
};

bool line_open(struct line *l, int in, int out); /* false: no memory */
void line_close(struct line *l);

/* One read. 1: something came, 0: nothing there, -1: the other side is gone. */
int line_fill(struct line *l);

struct frame {
  u8 type;
  u32 channel;
  struct bytes payload;
};
/* 1: a frame, 0: not all of one there, -1: longer than a frame may be. The payload is valid until the next call. */
int line_next(struct line *l, struct frame *f);
bool line_has_frame(const struct line *l);

static inline bool line_can_answer(const struct line *l) {
  return ring_room(&l->output) >= OUTPUT_EVENTS + OUTPUT_REPLIES / 2;
}
/* How many bytes of DATA payload fit now. */
u32 line_data_room(const struct line *l);
void line_send(struct line *l, u8 type, u32 channel, const void *payload, u32 n);
void line_put(struct line *l, const void *bytes, u32 n); /* without a frame: the token of SWITCH */
/* The header of a frame whose payload was read into the ring right behind where the header goes. */
void line_commit(struct line *l, u8 type, u32 channel, u32 n);
void line_flush(struct line *l);

#endif
