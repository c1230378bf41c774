#include "scp_run.h"

struct scp scp;

static struct {
  u8 bytes[8192];
  size_t at, end;
} input;

/* The peer is gone: what it has not read it will not read. */
static void peer_lost(void) __attribute__((noreturn));
static void peer_lost(void) { sys_exit(1); }

void scp_send(const void *from, size_t n) {
  const u8 *at = from;
  while (n) {
    long r = sys_write(1, at, n);
    if (r == -EINTR) continue;
    if (r == -EAGAIN)
      sys_poll_one(1, POLLOUT, -1);
    else if (r <= 0)
      peer_lost();
    else
      at += r, n -= (size_t)r;
  }
}
void scp_ok(void) { scp_send("", 1); }

static size_t read_some(void *to, size_t n) {
  for (;;) {
    long r = sys_read(0, to, n);
    if (r >= 0) return (size_t)r;
    if (r == -EAGAIN)
      sys_poll_one(0, POLLIN, -1);
    else if (r != -EINTR)
      return 0;
  }
}
static bool next_byte(char *byte) {
  if (input.at == input.end) input.at = 0, input.end = read_some(input.bytes, sizeof input.bytes);
  if (!input.end) return false;
  *byte = (char)input.bytes[input.at++];
  return true;
}
void scp_receive(void *to, size_t n) {
  u8 *at = to;
  size_t here = input.end - input.at;
  if (here > n) here = n;
  memcpy(at, input.bytes + input.at, here);
  input.at += here, at += here, n -= here;
  while (n) {
    size_t r = read_some(at, n);
    if (!r) peer_lost();
    at += r, n -= r;
  }
}

bool scp_answered(void) {
  char byte;
  if (!next_byte(&byte)) peer_lost();
  if (!byte) return true;
  bool fatal = byte != 1;
  while (byte != '\n')
    if (!next_byte(&byte)) peer_lost();
  scp.errors++;
  if (fatal) sys_exit(1);
  return false;
}

char *scp_record(void) {
  for (;;) {
    size_t n = 0;
    char byte;
    if (!next_byte(&byte)) return NULL;
    if (byte == '\n') scp_give_up("unexpected <newline>");
    do {
      if (n == sizeof scp.line - 1) scp_give_up("control record too long");
      scp.line[n++] = byte;
      if (!next_byte(&byte)) peer_lost();
    } while (byte != '\n');
    scp.line[n] = 0;
    if (scp.line[0] == 2) sys_exit(1);
    if (scp.line[0] != 1) return scp.line;
    scp.errors++; /* a complaint of the peer's, which it has shown to its user */
  }
}

void scp_complain(const char *what, const char *why) {
  char line[SCP_PATH_SIZE + 256];
  struct text t = text_in(line, sizeof line - 1);
  text_add(&t, "\1scp: ");
  text_add(&t, what);
  if (*what && *why) text_add(&t, ": ");
  text_add(&t, why);
  /* A newline in a name would end the message and begin an answer of the name's own making. */
  for (size_t i = 1; i < t.length; i++)
    if (line[i] == '\n') line[i] = '?';
  line[t.length++] = '\n';
  scp.errors++;
  scp_send(line, t.length);
}
void scp_complain_errno(const char *what, long error) {
  char why[64];
  struct text t = text_in(why, sizeof why);
  text_errno(&t, (int)-error);
  scp_complain(what, why);
}
void scp_give_up(const char *why) {
  scp_complain("protocol error", why);
  sys_exit(1);
}

bool scp_start(const char *path) {
  struct text t = text_in(scp.path, sizeof scp.path);
  text_add(&t, path);
  scp.length = t.length;
  if (t.cut) scp_complain_errno("path", -ENAMETOOLONG);
  return !t.cut;
}
bool scp_enter(const char *name) {
  size_t before = scp.length;
  struct text t = {.at = scp.path, .size = sizeof scp.path, .length = scp.length};
  if (!t.length || scp.path[t.length - 1] != '/') text_add(&t, "/");
  text_add(&t, name);
  scp.length = t.length;
  if (t.cut) scp_leave(before);
  return !t.cut;
}
void scp_leave(size_t length) {
  scp.length = length;
  scp.path[length] = 0;
}
