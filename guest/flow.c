#include "flow.h"
#include "process.h"
#include "socket.h"

/* ---- gateway to program ---- */

static void took_input(struct chan *c, u32 n) {
  c->consumed += n;
  /* A quarter at a time: seldom enough to cost nothing, often enough that the gateway is never out of credit while the
   * program reads. */
  if (c->consumed < WINDOW_SIZE / 4 || c->in_eof) return;
  u8 payload[4];
  put_u32(payload, c->consumed);
  c->allowance += c->consumed;
  c->consumed = 0;
  chan_send(c, F_WINDOW, payload, sizeof payload);
}

void flow_unread(struct chan *c) {
  if (c->in < 0) return;
  bool told = c->in_eof || c->process.pty || c->process.dead;
  chan_close_in(c);
  if (!told) chan_send(c, F_UNREAD, NULL, 0);
}

static void input_broken(struct chan *c) {
  if (c->kind == KIND_SOCKET) socket_broken(c);
  else flow_unread(c);
}

static void input_full(struct chan *c) {
  c->in_ready = false;
  if (c->kind == KIND_SOCKET || c->process.pty) chan_await_room(c, true);
}

/* The end of input, once all of it was taken. */
static void end_input(struct chan *c) {
  if (c->kind == KIND_SOCKET) {
    sys_shutdown(c->in, SHUT_WR);
    chan_close_in(c);
    return socket_settle(c);
  }
  if (c->process.pty) {
    u8 veof = 4;
    if (sys_write(c->in, &veof, 1) == -EAGAIN) return input_full(c);
  }
  chan_close_in(c);
}

void flow_write(struct chan *c) {
  while (c->in >= 0 && c->in_ready && c->queue.used) {
    struct iovec spans[2];
    long n = sys_writev(c->in, spans, ring_used_spans(&c->queue, spans));
    if (n == -EAGAIN) input_full(c);
    else if (n < 0) return input_broken(c);
    else {
      ring_drop(&c->queue, (u32)n);
      took_input(c, (u32)n);
    }
  }
  if (c->in >= 0 && c->in_ready && !c->queue.used && c->in_eof) end_input(c);
}

void flow_data(struct chan *c, struct bytes data) {
  if (c->in_eof) return malformed("DATA after EOF", c->id);
  if (data.n > c->allowance) return malformed("DATA beyond its credit", c->id);
  c->allowance -= data.n;
  if (c->in < 0) return; /* the program closed its stdin: UNREAD was said */
  if (c->in_ready && !c->queue.used && data.n) { /* most often it takes all at once, and nothing is copied */
    long n = sys_write(c->in, data.at, data.n);
    if (n == -EAGAIN) input_full(c);
    else if (n < 0) return input_broken(c);
    else {
      data.at += n, data.n -= (u32)n;
      took_input(c, (u32)n);
    }
  }
  ring_write(&c->queue, 0, data.at, data.n);
  ring_commit(&c->queue, data.n);
  flow_write(c);
}

void flow_eof(struct chan *c) {
  if (c->in_eof) return malformed("EOF twice", c->id);
  c->in_eof = true;
  flow_write(c);
}

/* ---- program to gateway ---- */

static bool nothing_left(int fd) {
  int n = 0;
  return sys_ioctl(fd, FIONREAD, &n) == 0 && n == 0;
}

enum outcome { GOES_ON, ENDED, BROKEN };

/* One turn of one descriptor: at most a frame of it, gathered from several reads where it gives little at a time (a pty
 * never gives more than 4 KiB). */
static enum outcome read_end(struct chan *c, int fd, bool *ready, bool *hup, u8 type) {
  struct ring *to = &guest.line->output;
  u32 max = line_data_room(guest.line), n = 0;
  enum outcome outcome = GOES_ON;
  if (max > FRAME_MAX) max = FRAME_MAX;
  if (max > c->credit) max = c->credit;
  if (c->credit == 0 && *hup) {
    *hup = false; /* looked at once: with bytes left, the next credit brings us here again */
    return nothing_left(fd) ? ENDED : GOES_ON;
  }
  while (n < max && *ready) {
    struct iovec spans[2];
    long r = sys_readv(fd, spans, ring_free_spans(to, FRAME_HEADER + n, max - n, spans));
    if (r > 0) n += (u32)r;
    else if (r == -EAGAIN) *ready = false;
    else if (r != -EINTR) {
      outcome = r < 0 && c->kind == KIND_SOCKET ? BROKEN : ENDED; /* a pty's EIO: no slave is open any more */
      break;
    }
  }
  if (n) {
    line_commit(guest.line, type, c->id, n);
    c->credit -= n;
    if (c->kind == KIND_PROCESS && c->process.dead) c->process.after_death += n;
  }
  return outcome;
}

static void take_turn(struct chan *c) {
  enum outcome out = GOES_ON, err = GOES_ON;
  if (c->out_ready) out = read_end(c, c->out, &c->out_ready, &c->out_hup, F_DATA);
  if (out == BROKEN) return socket_broken(c);
  if (out == ENDED) {
    /* cat closes its terminal a moment before it exits, and would be killed by the hang-up in between. */
    if (c->kind == KIND_PROCESS && c->process.pty) c->process.master = c->out, c->in = c->out = -1;
    chan_close_out(c);
    chan_send(c, F_EOF, NULL, 0);
  }
  if (c->err_ready) err = read_end(c, c->err, &c->err_ready, &c->err_hup, F_DATA2);
  if (err == ENDED) {
    chan_close_err(c);
    chan_send(c, F_EOF2, NULL, 0);
  }
  if (c->kind == KIND_PROCESS) process_settle(c);
  else socket_settle(c);
}

/* Those with something to read, in the order of their turns. An entry belongs to the slot, whoever uses that by then. */
static u16 line_up[2 * CHANNELS_MAX];
static u32 first_waiting, waiting_count;

void flow_wake(struct chan *c) {
  bool out = c->out_ready && (c->credit || c->out_hup), err = c->err_ready && (c->credit || c->err_hup);
  if (c->queued || !c->open || !(out || err)) return;
  c->queued = true;
  line_up[(first_waiting + waiting_count++) % (2 * CHANNELS_MAX)] = (u16)c->slot;
}

/* Less than this is left for the line to drain: a busy line would else be cut into ever smaller frames. */
enum { WORTH_A_FRAME = 4096 };

bool flow_can_turn(void) { return waiting_count && line_data_room(guest.line) >= WORTH_A_FRAME; }

void flow_turns(void) {
  for (u32 n = waiting_count; n && flow_can_turn(); n--) {
    struct chan *c = chan_at(line_up[first_waiting]);
    first_waiting = (first_waiting + 1) % (2 * CHANNELS_MAX);
    waiting_count--;
    c->queued = false;
    if (!c->open || (c->kind != KIND_PROCESS && c->kind != KIND_SOCKET)) continue;
    take_turn(c);
    if (c->open) flow_wake(c);
  }
}
