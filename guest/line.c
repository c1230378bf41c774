#include "line.h"

bool line_open(struct line *l, int in, int out) {
  u8 *memory = sys_reserve(INPUT_SIZE + OUTPUT_SIZE);
  if (!memory) return false;
  /* A child has no business with other sessions' bytes, and a fork is cheaper without them. */
  sys_madvise(memory, INPUT_SIZE + OUTPUT_SIZE, MADV_DONTFORK);
  *l = (struct line){.in = in, .out = out, .readable = true, .writable = true, .input = memory};
  l->output = (struct ring){.base = memory + INPUT_SIZE, .size = OUTPUT_SIZE};
  return true;
}

void line_close(struct line *l) {
  if (l->in >= 0) sys_close(l->in);
  if (l->out >= 0 && l->out != l->in) sys_close(l->out);
  l->in = l->out = -1;
  l->readable = false;
  l->start = l->end = 0;
}

int line_fill(struct line *l) {
  if (l->in < 0) return 0;
  if (l->start == l->end) l->start = l->end = 0;
  if (INPUT_SIZE - l->end < FRAME_MAX + FRAME_HEADER) {
    /* Only the beginning of one frame is left there (the caller took the whole ones): room for all of it. */
    memmove(l->input, l->input + l->start, l->end - l->start);
    l->end -= l->start;
    l->start = 0;
  }
  if (l->end == INPUT_SIZE) return 0;
  long n = sys_read(l->in, l->input + l->end, INPUT_SIZE - l->end);
  if (n == -EINTR) return 0;
  if (n == -EAGAIN) {
    l->readable = false;
    return 0;
  }
  if (n <= 0) return -1;
  l->end += (u32)n;
  return 1;
}

static u32 payload_size(const u8 *header) { return get_u32(header) >> 8; }

bool line_has_frame(const struct line *l) {
  u32 n = l->end - l->start;
  return n >= FRAME_HEADER &&
         (payload_size(l->input + l->start) > FRAME_MAX || n - FRAME_HEADER >= payload_size(l->input + l->start));
}

int line_next(struct line *l, struct frame *f) {
  if (!line_has_frame(l)) return 0;
  u8 *header = l->input + l->start;
  u32 n = payload_size(header);
  if (n > FRAME_MAX) return -1;
  *f = (struct frame){header[3], get_u32(header + 4), {header + FRAME_HEADER, n}};
  l->start += FRAME_HEADER + n;
  return 1;
}

u32 line_data_room(const struct line *l) {
  u32 kept = OUTPUT_REPLIES + OUTPUT_EVENTS + FRAME_HEADER, room = ring_room(&l->output);
  return l->out < 0 || room <= kept ? 0 : room - kept;
}

void line_commit(struct line *l, u8 type, u32 channel, u32 n) {
  u8 header[FRAME_HEADER];
  put_u32(header, n << 8 | type);
  put_u32(header + 4, channel);
  ring_write(&l->output, 0, header, FRAME_HEADER);
  ring_commit(&l->output, FRAME_HEADER + n);
}

void line_send(struct line *l, u8 type, u32 channel, const void *payload, u32 n) {
  if (l->out < 0) return;
  if (ring_room(&l->output) < FRAME_HEADER + n) { /* see OUTPUT_EVENTS: cannot be */
    l->failed = true;
    return;
  }
  ring_write(&l->output, FRAME_HEADER, payload, n);
  line_commit(l, type, channel, n);
}

void line_put(struct line *l, const void *bytes, u32 n) {
  ring_write(&l->output, 0, bytes, n);
  ring_commit(&l->output, n);
}

void line_flush(struct line *l) {
  struct iovec spans[2];
  while (l->out >= 0 && l->writable && l->output.used) {
    long n = sys_writev(l->out, spans, ring_used_spans(&l->output, spans));
    if (n == -EAGAIN) l->writable = false;
    else if (n < 0 && n != -EINTR) l->failed = true, l->writable = false;
    else if (n > 0) ring_drop(&l->output, (u32)n);
  }
}
