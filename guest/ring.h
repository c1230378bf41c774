/* A byte ring over memory that someone else owns. Empty, it starts over at its first byte: a quiet one touches one page. */
#ifndef RING_H
#define RING_H

#include "str.h"

struct ring {
  u8 *base;
  u32 size, head, used;
};

static inline u32 ring_room(const struct ring *r) { return r->size - r->used; }

/* Up to `max` free bytes, `skip` behind the last used one, as at most two spans; ring_commit makes them used. */
int ring_free_spans(const struct ring *r, u32 skip, u32 max, struct iovec spans[2]);
int ring_used_spans(const struct ring *r, struct iovec spans[2]);
void ring_write(struct ring *r, u32 skip, const void *from, u32 n); /* without a commit */
void ring_commit(struct ring *r, u32 n);
void ring_drop(struct ring *r, u32 n);

#endif
