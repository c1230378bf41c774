#include "ring.h"

static int spans_from(const struct ring *r, u32 at, u32 n, struct iovec spans[2]) {
  if (at >= r->size) at -= r->size;
  u32 first = r->size - at < n ? r->size - at : n;
  spans[0] = (struct iovec){r->base + at, first};
  spans[1] = (struct iovec){r->base, n - first};
  return n == 0 ? 0 : n == first ? 1 : 2;
}

int ring_free_spans(const struct ring *r, u32 skip, u32 max, struct iovec spans[2]) {
  u32 room = ring_room(r);
  if (room <= skip) return 0;
  room -= skip;
  return spans_from(r, r->head + r->used + skip - (r->head + r->used + skip >= r->size ? r->size : 0),
                    room < max ? room : max, spans);
}

int ring_used_spans(const struct ring *r, struct iovec spans[2]) { return spans_from(r, r->head, r->used, spans); }

void ring_write(struct ring *r, u32 skip, const void *from, u32 n) {
  struct iovec spans[2];
  int count = ring_free_spans(r, skip, n, spans);
  const u8 *p = from;
  for (int i = 0; i < count; i++) {
    memcpy(spans[i].iov_base, p, spans[i].iov_len);
    p += spans[i].iov_len;
  }
}

void ring_commit(struct ring *r, u32 n) { r->used += n; }

void ring_drop(struct ring *r, u32 n) {
  r->used -= n;
  r->head += n;
  if (r->head >= r->size) r->head -= r->size;
  if (r->used == 0) r->head = 0;
}
