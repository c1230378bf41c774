/* The direct data path: a unix socket that the gateway listens on, found through another container's root. That is gone
 * after SWITCHED, and the socket's name with it; the descriptor `socket_door` still leads there, and nothing else does. */
#include "chan.h"
#include "request.h"

enum { RETRY_EVERY = 20, RETRY_FOR = 2000 };

static u8 switch_token[16];
static union socket_address socket_at;
static u32 address_length;
static u64 retry_due, give_up; /* retry_due 0: nothing is tried */
static int socket_door = -1; /* O_PATH; -1: there is none */

static void switch_answer(int error) {
  u8 payload[4];
  retry_due = 0;
  put_u32(payload, (u32)error);
  line_send(&guest.exec, F_SWITCHED, 0, payload, sizeof payload);
}

static void switch_attempt(void) {
  int fd = sys_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int error = fd < 0 ? -fd : -sys_connect(fd, &socket_at, address_length);
  if (error == EAGAIN && guest.now < give_up) { /* unix(7): its backlog is full */
    sys_close(fd);
    retry_due = guest.now + RETRY_EVERY;
    return;
  }
  if (!error && !line_open(&guest.socket, fd, fd)) error = ENOMEM;
  if (error) {
    if (fd >= 0) sys_close(fd);
    return switch_answer(error);
  }
  socket_door = sys_open(socket_at.unix_.sun_path, O_PATH | O_CLOEXEC, 0);
  switch_answer(0); /* the last on the exec but for PONG; what stands before it leaves there, too */
  guest.line = &guest.socket;
  line_put(&guest.socket, switch_token, sizeof switch_token);
  watch(fd, watch_key(WATCH_SOCKET, 0, 0), WATCH_INPUT);
}

void switch_begin(const u8 t[16], const char *path) {
  if (retry_due) return malformed("SWITCH twice", 0);
  memcpy(switch_token, t, sizeof switch_token);
  int error = socket_address_unix(&socket_at, path, &address_length);
  if (error) return switch_answer(error);
  give_up = guest.now + RETRY_FOR;
  switch_attempt();
}

u64 switch_tick(void) {
  if (retry_due && guest.now >= retry_due) switch_attempt();
  return retry_due;
}

int switch_connect(const u8 t[16]) {
  char path[32];
  union socket_address to;
  u32 n;
  if (socket_door < 0) return -ENOTCONN;
  struct text at = text_in(path, sizeof path);
  text_add(&at, "/proc/self/fd/");
  text_number(&at, (u32)socket_door);
  socket_address_unix(&to, path, &n);
  int fd = sys_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fd;
  int error = sys_connect(fd, &to, n);
  if (!error && sys_write(fd, t, sizeof switch_token) != sizeof switch_token) error = -EPIPE;
  if (!error) error = sys_fcntl(fd, F_SETFL, 0); /* who gets it may block */
  if (!error) return fd;
  sys_close(fd);
  return error;
}
