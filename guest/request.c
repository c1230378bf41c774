#include "request.h"
#include "flow.h"
#include "process.h"
#include "socket.h"

static u32 highest_id; /* id that the gateway has used */

bool request_init(void) {
  guest.request.at = sys_reserve(REQUEST_MAX + 1);
  return guest.request.at != NULL;
}

/* ---- what opens a channel ---- */

static bool parse_spawn(struct cursor *c, struct spawn *r) {
  *r = (struct spawn){.flags = take_u32(c), .credit = take_u32(c)};
  r->cols = take_u16(c);
  r->rows = take_u16(c);
  r->xpixel = take_u16(c);
  r->ypixel = take_u16(c);
  r->modes = take_string(c);
  r->program = take_name(c);
  r->argc = take_names(c, &r->argv);
  r->envc = take_names(c, &r->env);
  r->cwd = take_name(c);
  r->warn = take_string(c);
  return cursor_done(c) && !(r->flags & ~(u32)(SPAWN_PTY | SPAWN_MONITOR | SPAWN_STAND_IN)) && r->argc > 0;
}

/* A name of the request as a C string. It ends the payload or is followed by a field that was read already; the request's
 * buffer has a byte more than a request. */
static const char *terminated_name(struct bytes name) {
  name.at[name.n] = 0;
  return (const char *)name.at;
}

/* False: malformed. */
static bool open_channel(u8 type, u32 id, struct bytes request) {
  struct cursor c = cursor_over(request);
  struct spawn spawn;
  if (type == F_SPAWN) {
    if (!parse_spawn(&c, &spawn)) return false;
    if (guest.draining) send_fail(id, ESHUTDOWN, STAGE_RESOURCES);
    else if (spawn.envc > ENV_MAX) send_fail(id, E2BIG, STAGE_EXEC);
    else process_spawn(id, &spawn);
    return true;
  }
  if (type == F_SFTP) {
    u32 flags = take_u32(&c);
    spawn = (struct spawn){.sftp = true, .read_only = flags & SFTP_READ_ONLY, .credit = take_u32(&c)};
    if (flags & SFTP_OWN_LINE) spawn.token = take(&c, 16);
    spawn.cwd = take_name(&c);
    if (!cursor_done(&c) || flags & ~(u32)(SFTP_READ_ONLY | SFTP_OWN_LINE)) return false;
    if (guest.draining) send_fail(id, ESHUTDOWN, STAGE_RESOURCES);
    else process_spawn(id, &spawn);
    return true;
  }
  u32 credit = type == F_CONNECT ? take_u32(&c) : 0;
  u8 kind = take_u8(&c);
  u16 port = take_u16(&c);
  struct bytes name = take_name(&c);
  u32 mode = type == F_LISTEN ? take_u32(&c) : 0;
  u8 flags = type == F_LISTEN ? take_u8(&c) : 0;
  if (!cursor_done(&c) || kind > KIND_UNIX || flags > (LISTEN_UNLINK | LISTEN_DIRECTORY) || mode > 0777) return false;
  if (guest.draining) send_fail(id, ESHUTDOWN, STAGE_RESOURCES);
  else if (type == F_CONNECT) socket_connect(id, credit, kind, port, terminated_name(name));
  else listener_open(id, kind, port, terminated_name(name), mode, flags);
  return true;
}

static void request_piece(const struct frame *f) {
  struct bytes *r = &guest.request;
  u32 id = f->channel;
  if (id == 0 || id & HELPER_ID || chan_find(id)) return malformed("a request on a channel that cannot take one", id);
  if (guest.request_channel && guest.request_channel != id) return malformed("two requests at once", id);
  if (f->payload.n > REQUEST_MAX - r->n) return malformed("a request too long", id);
  if (id > highest_id) highest_id = id;
  memcpy(r->at + r->n, f->payload.at, f->payload.n);
  r->n += f->payload.n;
  guest.request_channel = id;
  if (f->type == F_PART) return;
  u32 length = r->n;
  if (!open_channel(f->type, id, *r)) malformed("a request that does not parse", id);
  if (length > FRAME_MAX) sys_madvise(r->at, REQUEST_MAX, MADV_DONTNEED); /* seldom needed, then let go */
  r->n = 0;
  guest.request_channel = 0;
}

/* ---- the connection ---- */

static void take_init(const struct frame *f) {
  struct cursor c = cursor_over(f->payload);
  u16 version = take_u16(&c);
  u32 lease = take_u32(&c), grace = take_u32(&c), channels = take_u32(&c), flags = take_u32(&c);
  if (!cursor_done(&c) || guest.initialised || version != VERSION || lease == 0 || channels == 0 ||
      channels > CHANNELS_MAX || flags)
    return malformed("INIT", f->channel);
  guest.initialised = true;
  guest.lease = lease;
  guest.grace = grace;
  guest.lease_until = guest.now + lease;
  if (chans_init(channels)) return;
  note("no memory for the channels", NULL, channels);
  finish(1);
}

static void take_connection_frame(struct line *from, const struct frame *f) {
  struct cursor c = cursor_over(f->payload);
  if (f->channel != 0) return malformed("a channel where none belongs", f->channel);
  switch (f->type) {
  case F_PING:
    if (f->payload.n != 8) return malformed("PING", 0);
    return line_send(from, F_PONG, 0, f->payload.at, 8);
  case F_SHUTDOWN:
    if (f->payload.n || from != guest.line) return malformed("SHUTDOWN", 0);
    guest.draining = true;
    return;
  default: { /* F_SWITCH */
    u8 *token = take(&c, 16);
    struct bytes path = take_name(&c);
    char copy[UNIX_PATH_SIZE + 1];
    if (!cursor_done(&c) || from != &guest.exec || guest.line != &guest.exec) return malformed("SWITCH", 0);
    struct text t = text_in(copy, sizeof copy);
    text_bytes(&t, (char *)path.at, path.n);
    return switch_begin(token, copy);
  }
  }
}

/* ---- what goes to a channel ---- */

static bool was_closed(u32 id) { return id & HELPER_ID ? listener_gave(id) : id != 0 && id <= highest_id; }

static bool well_formed(const struct frame *f) {
  u32 n = f->payload.n;
  switch (f->type) {
  case F_EOF: return n == 0;
  case F_WINDOW: return n == 4;
  case F_RESIZE: return n == 8;
  case F_SIGNAL: return n == 1 && f->payload.at[0] >= 1 && f->payload.at[0] <= 64;
  case F_CLOSE: return n == 1 && f->payload.at[0] <= CLOSE_TREE;
  default: return f->type == F_DATA;
  }
}

static void take_channel_frame(const struct frame *f) {
  const u8 *p = f->payload.at;
  if (!well_formed(f)) return malformed("a frame of an unknown kind or a wrong length", f->type);
  struct chan *c = chan_find(f->channel);
  if (!c) {
    if (!was_closed(f->channel)) malformed("an unknown channel", f->channel);
    return;
  }
  bool process = c->kind == KIND_PROCESS, listener = c->kind == KIND_LISTENER;
  switch (f->type) {
  case F_CLOSE:
    if (process) session_end(c, p[0]);
    else if (listener) listener_close(c);
    else socket_close(c);
    return;
  case F_RESIZE:
    if (process) process_resize(c, get_u16(p), get_u16(p + 2), get_u16(p + 4), get_u16(p + 6));
    return;
  case F_SIGNAL:
    if (process) process_signal(c, p[0]);
    return;
  }
  /* Before OPENED there is no allowance for DATA, but EOF and credit may come early. */
  if (listener) return malformed("bytes or credit for a channel that takes none", c->id);
  switch (f->type) {
  case F_DATA: return flow_data(c, f->payload);
  case F_EOF: return flow_eof(c);
  case F_WINDOW:
    if (get_u32(p) > INT32_MAX - c->credit) return malformed("more credit than there can be", c->id);
    c->credit += get_u32(p);
    if (process) process_settle(c);
    return flow_wake(c);
  }
}

void frame_handle(struct line *from, const struct frame *f) {
  if (!guest.initialised && f->type != F_INIT) return malformed("a frame before INIT", f->type);
  if (from == &guest.exec && guest.line != &guest.exec && f->type != F_PING) return malformed("a frame on the old line", f->type);
  guest.lease_until = guest.now + guest.lease; /* whatever comes, the gateway lives; before INIT the lease is 0 */
  switch (f->type) {
  case F_INIT: return take_init(f);
  case F_PING:
  case F_SHUTDOWN:
  case F_SWITCH: return take_connection_frame(from, f);
  case F_PART:
  case F_SPAWN:
  case F_CONNECT:
  case F_LISTEN:
  case F_SFTP: return request_piece(f);
  default: return take_channel_frame(f);
  }
}
