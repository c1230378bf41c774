#include "flow.h"
#include "socket.h"

enum { BACKLOG = 128, RETRY_ACCEPT = 100 };

static int bind_one(const union socket_address *address, u32 length, bool v6only) {
  int one = 1, only = v6only;
  int fd = sys_socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fd;
  if (address->family != AF_UNIX) sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (address->family == AF_INET6) sys_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  int error = sys_bind(fd, address, length);
  if (!error) error = sys_listen(fd, BACKLOG);
  if (!error) return fd;
  sys_close(fd);
  return error;
}

static int bind_tcp(const struct address *a, u16 port, bool v6only) {
  union socket_address address;
  u32 length = socket_address_of(&address, a, port);
  return bind_one(&address, length, v6only);
}

static u16 bound_port(int fd) {
  union socket_address address;
  struct address a;
  u32 length = sizeof address;
  u16 port = 0;
  if (sys_getsockname(fd, &address, &length) == 0) socket_address_read(&address, &a, &port);
  return port;
}

/* "" and "localhost" are both families, as two sockets of one port; one is enough where there is only one family. */
static int bind_both(struct chan *c, struct address v4, struct address v6, u16 port) {
  /* The second may find the port that the kernel chose for the first taken. */
  for (int attempt = 0;; attempt++) {
    c->out = bind_tcp(&v4, port, false);
    u16 chosen = c->out >= 0 ? bound_port(c->out) : port;
    c->err = bind_tcp(&v6, chosen, true);
    if (c->out >= 0 && c->err == -EADDRINUSE && port == 0 && attempt < 8) {
      sys_close(c->out);
      continue;
    }
    int error = c->out < 0 && c->err < 0 ? c->out : 0;
    bool taken = c->out == -EADDRINUSE || c->err == -EADDRINUSE || c->out == -EACCES;
    if (!error && taken) error = c->out < 0 ? c->out : c->err;
    if (error) {
      if (c->out >= 0) sys_close(c->out);
      if (c->err >= 0) sys_close(c->err);
    }
    if (error || c->out < 0) c->out = -1;
    if (error || c->err < 0) c->err = -1;
    return error;
  }
}

/* The directory a path is in, as its own text; false for one in the root or the working directory. */
static bool directory_of(char *directory, u32 size, const char *path) {
  struct text t = text_in(directory, size);
  text_add(&t, path);
  u32 n = (u32)strlen(directory);
  while (n > 0 && directory[n - 1] != '/') n--;
  if (n <= 1) return false;
  directory[n - 1] = 0;
  return true;
}

static int bind_unix(struct chan *c, const char *path, u32 mode, u8 flags) {
  union socket_address address;
  u32 length;
  struct stat st;
  char directory[UNIX_PATH_SIZE];
  struct listener *l = &c->listener;
  int error = *path ? socket_address_unix(&address, path, &length) : EINVAL;
  if (error) return -error;
  if (flags & LISTEN_DIRECTORY) {
    /* One that is there already is somebody else's, and may be a link. */
    error = directory_of(directory, sizeof directory, path) ? sys_mkdirat(AT_FDCWD, directory, 0700) : -EINVAL;
    if (error) return error;
    l->own_directory = true;
  }
  /* Only a socket: StreamLocalBindUnlink is not a way to remove files. */
  if (flags & LISTEN_UNLINK && sys_fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode))
    sys_unlinkat(AT_FDCWD, path, 0);
  int before = sys_umask((int)(~mode & 0777)); /* at no time open to more than asked for */
  c->out = bind_one(&address, length, false);
  sys_umask(before);
  if (c->out < 0) {
    error = c->out;
    c->out = -1;
    if (l->own_directory) sys_unlinkat(AT_FDCWD, directory, AT_REMOVEDIR);
    return error;
  }
  struct text t = text_in(l->path, sizeof l->path);
  text_add(&t, path);
  if (sys_fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0) l->device = st.st_dev, l->inode = st.st_ino;
  return 0;
}

static int bind_address(struct chan *c, u16 port, const char *name) {
  struct address a;
  if (!*name) return bind_both(c, address_any(AF_INET), address_any(AF_INET6), port);
  if (str_equal_nocase(name, "localhost")) return bind_both(c, address_v4(0x7f000001), address_v6_loopback(), port);
  if (!address_parse(&a, name)) return -EADDRNOTAVAIL;
  int fd = bind_tcp(&a, port, true);
  if (fd < 0) return fd;
  c->out = fd;
  return 0;
}

void listener_open(u32 id, u8 kind, u16 port, const char *name, u32 mode, u8 flags) {
  struct chan *c = chan_new(id, KIND_LISTENER);
  if (!c) return send_fail(id, EAGAIN, STAGE_RESOURCES);
  memset(&c->listener, 0, sizeof c->listener);
  int error = kind == KIND_UNIX ? bind_unix(c, name, mode, flags) : bind_address(c, port, name);
  if (error) {
    send_fail(id, -error, STAGE_LISTEN);
    chan_retire(c);
    chan_free(c);
    return;
  }
  chan_opened(c, kind == KIND_UNIX ? 0 : bound_port(c->out >= 0 ? c->out : c->err));
  if (c->out >= 0) chan_watch(c, WATCH_OUT, c->out, EPOLLIN);
  if (c->err >= 0) chan_watch(c, WATCH_ERR, c->err, EPOLLIN);
}

/* Ids of the helper's go up and around; one that is in use is left out. */
static u32 next_id = HELPER_ID;
static u32 new_id(void) {
  do next_id = (next_id + 1) | HELPER_ID;
  while (chan_find(next_id));
  return next_id;
}

static void announce_accepted(struct chan *c, u32 listener, const union socket_address *peer) {
  u8 payload[14 + ADDRESS_TEXT];
  char text[ADDRESS_TEXT] = "";
  struct address address;
  u16 port = 0;
  if (socket_address_read(peer, &address, &port)) address_format(&address, text);
  u32 n = (u32)strlen(text);
  put_u32(payload, listener);
  put_u32(payload + 4, WINDOW_SIZE);
  put_u16(payload + 8, port);
  put_u32(payload + 10, n);
  memcpy(payload + 14, text, n);
  c->allowance = WINDOW_SIZE;
  c->open = true;
  chan_send(c, F_ACCEPT, payload, 14 + n);
}

/* Returns whether there may be more. */
static bool accept_one(struct chan *listener, int fd, bool *ready) {
  union socket_address peer;
  u32 length = sizeof peer;
  int one = 1;
  memset(&peer, 0, sizeof peer);
  int got = sys_accept4(fd, &peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (got == -EAGAIN) *ready = false;
  if (got == -EMFILE || got == -ENFILE || got == -ENOMEM || got == -ENOBUFS) chan_due(listener, guest.now + RETRY_ACCEPT);
  if (got < 0) return got == -ECONNABORTED || got == -EINTR;
  struct chan *c = chan_new(new_id(), KIND_SOCKET);
  memset(&c->connecting, 0, sizeof c->connecting);
  sys_setsockopt(got, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
  c->in = c->out = got;
  c->in_ready = c->out_ready = true;
  announce_accepted(c, listener->id, &peer);
  chan_watch(c, WATCH_BOTH, got, WATCH_INPUT);
  return true;
}

/* Those that wait are left in the backlog while the table or the output is full; `due` comes back to them. */
void listener_accept(struct chan *c) {
  chan_due(c, 0);
  while (c->out_ready || c->err_ready) {
    if (chans_full() || !line_can_answer(guest.line)) return chan_due(c, guest.now + RETRY_ACCEPT);
    bool *ready = c->out_ready ? &c->out_ready : &c->err_ready;
    if (!accept_one(c, c->out_ready ? c->out : c->err, ready)) {
      if (*ready) return;
    }
  }
}

void listener_close(struct chan *c) {
  struct listener *l = &c->listener;
  struct stat st;
  /* Ours still: another may have been bound there since. */
  if (*l->path && sys_fstatat(AT_FDCWD, l->path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == l->device &&
      st.st_ino == l->inode)
    sys_unlinkat(AT_FDCWD, l->path, 0);
  char directory[UNIX_PATH_SIZE];
  if (l->own_directory && directory_of(directory, sizeof directory, l->path))
    sys_unlinkat(AT_FDCWD, directory, AT_REMOVEDIR);
  chan_closed(c);
  chan_retire(c);
  chan_free(c);
}

bool listener_gave(u32 id) { return next_id > HELPER_ID && id <= next_id; }
