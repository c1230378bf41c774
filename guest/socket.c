#include "socket.h"
#include "flow.h"
#include "resolve.h"

enum { RETRY_EVERY = 20, RETRY_FOR = 5000, FLUSH_FOR = 60000 };

static void socket_failed(struct chan *c, int error, u8 stage) {
  if (c->connecting.lookup) resolve_cancel(c);
  send_fail(c->id, error, stage);
  chan_retire(c);
  chan_free(c);
}

static void socket_connected(struct chan *c) {
  int one = 1;
  /* Keystrokes must not wait for an acknowledgement. Means nothing to a unix socket. */
  sys_setsockopt(c->out, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
  chan_due(c, 0);
  c->in_ready = c->out_ready = true;
  chan_opened(c, 0);
  flow_write(c); /* EOF may have come already */
  if (c->open) flow_wake(c);
}

/* 0: connected, EINPROGRESS: an event will tell, else an errno. */
static int start_connect(struct chan *c, const union socket_address *address, u32 length) {
  int fd = sys_socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -fd;
  int error = -sys_connect(fd, address, length);
  /* On the loopback it is done, or refused, by then, and asking again tells. */
  if (error == EINPROGRESS) error = -sys_connect(fd, address, length);
  if (error == EALREADY) error = EINPROGRESS;
  if (error && error != EINPROGRESS) {
    sys_close(fd);
    return error;
  }
  c->in = c->out = fd;
  chan_watch(c, WATCH_BOTH, fd, error ? WATCH_INPUT | EPOLLOUT : WATCH_INPUT);
  return error;
}

/* That the container has no such network says less than another address' refusal: "localhost" is ::1, too. */
static void note_error(struct connecting *t, int error) {
  bool tells = error != EADDRNOTAVAIL && error != ENETUNREACH && error != EAFNOSUPPORT;
  if (tells || !t->error) t->error = error;
}

/* The next of its addresses that does not refuse at once. */
static void try_addresses(struct chan *c) {
  struct connecting *t = &c->connecting;
  while (t->next < t->addresses.n) {
    union socket_address address;
    u32 length = socket_address_of(&address, &t->addresses.at[t->next++], (u16)t->port);
    int error = start_connect(c, &address, length);
    if (error == 0) return socket_connected(c);
    if (error == EINPROGRESS) return;
    note_error(t, error);
  }
  socket_failed(c, t->error ? t->error : EHOSTUNREACH, STAGE_CONNECT);
}

void socket_event(struct chan *c) {
  int error = 0;
  u32 length = sizeof error;
  if (c->out < 0) return;
  sys_getsockopt(c->out, SOL_SOCKET, SO_ERROR, &error, &length);
  union socket_address peer;
  u32 size = sizeof peer;
  if (!error && sys_getpeername(c->out, &peer, &size) < 0) return; /* the event of the descriptor's registration */
  if (!error) return socket_connected(c);
  note_error(&c->connecting, error);
  chan_close_in(c);
  chan_close_out(c);
  try_addresses(c);
}

static void try_unix(struct chan *c) {
  union socket_address address;
  u32 length;
  const char *path = c->connecting.path;
  int error = socket_address_unix(&address, path, &length);
  if (!error) error = start_connect(c, &address, length);
  if (!error) return socket_connected(c);
  /* unix(7): EAGAIN when the backlog is full, where a blocking connect would wait. No event tells when it is not. */
  if (error != EAGAIN || guest.now >= c->connecting.give_up) return socket_failed(c, error, STAGE_CONNECT);
  chan_due(c, guest.now + RETRY_EVERY);
}

void socket_due(struct chan *c) {
  if (c->open) socket_broken(c);
  else try_unix(c);
}

void socket_connect(u32 id, u32 credit, u8 kind, u16 port, const char *name) {
  struct chan *c = chan_new(id, KIND_SOCKET);
  if (!c) return send_fail(id, EAGAIN, STAGE_RESOURCES);
  struct connecting *t = &c->connecting;
  memset(t, 0, sizeof *t);
  c->credit = credit;
  t->port = port;
  if (kind == KIND_UNIX) {
    struct text path = text_in(t->path, sizeof t->path);
    text_add(&path, name);
    if (path.cut || !*name) return socket_failed(c, path.cut ? ENAMETOOLONG : ENOENT, STAGE_CONNECT);
    t->give_up = guest.now + RETRY_FOR;
    return try_unix(c);
  }
  struct address address;
  if (address_parse(&address, name)) address_add(&t->addresses, address);
  else if (resolve_local(name, &t->addresses)) {}
  else {
    int error = resolve_start(c, name);
    if (error) return socket_failed(c, error, STAGE_RESOLVE);
    t->lookup = true;
    return;
  }
  try_addresses(c);
}

void socket_resolved(struct chan *c, const struct address_list *found, int error) {
  c->connecting.lookup = false;
  if (error) return socket_failed(c, error, STAGE_RESOLVE);
  c->connecting.addresses = *found;
  try_addresses(c);
}

static void socket_over(struct chan *c) {
  if (!c->open && c->connecting.lookup) resolve_cancel(c);
  chan_closed(c);
  chan_retire(c);
  chan_free(c);
}

void socket_settle(struct chan *c) {
  if (c->open && c->in < 0 && c->out < 0) socket_over(c);
}
void socket_broken(struct chan *c) { socket_over(c); }
/* All of it was sent, and not all of it taken: a kernel would go on delivering, too, though for longer. */
void socket_close(struct chan *c) {
  if (!c->open || !c->in_eof || !c->queue.used || guest.ending) return socket_over(c);
  chan_close_out(c);
  chan_due(c, guest.now + FLUSH_FOR);
}
