/* hatchway-guest: what runs inside a container on the gateway's behalf. docs/guest-protocol.md says what it speaks. */
#include "scp.h"
#include "serve.h"
#include "sftp.h"

enum { HOLD_FOR = 120 }; /* seconds */

/* The holder container's program: says who it is in the target's pid namespace and keeps /proc/PID/root there until the
 * helper was started from it. It stays dumpable: that is what lets the exec pass ptrace's access check. */
static int hold(void) {
  char line[24];
  struct text t = text_in(line, sizeof line);
  struct epoll_event event = {.events = EPOLLIN};
  u64 until = sys_milliseconds() + HOLD_FOR * 1000;
  text_number(&t, (u64)sys_getpid());
  text_add(&t, "\n");
  if (sys_write(1, t.at, t.length) != (long)t.length) return 1;
  int epoll = sys_epoll_create();
  sys_epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event);
  /* A dying engine may leave stdin open for ever, and nobody to remove the container: hence the limit. */
  for (u64 now; (now = sys_milliseconds()) < until;) {
    char ignored[256];
    if (sys_epoll_wait(epoll, &event, 1, (int)(until - now)) > 0 && sys_read(0, ignored, sizeof ignored) <= 0) break;
  }
  return 0;
}

static int version(void) {
  char line[64];
  struct text t = text_in(line, sizeof line);
  text_add(&t, "hatchway-guest protocol ");
  text_number(&t, VERSION);
#if defined(__x86_64__)
  text_add(&t, " x64\n");
#else
  text_add(&t, " arm64\n");
#endif
  return sys_write(1, t.at, t.length) == (long)t.length ? 0 : 1;
}

static const char *base_name(const char *path) {
  for (const char *slash; (slash = str_find(path, '/'));) path = slash + 1;
  return path;
}

/* Also what a program of the container starts as sftp-server or scp, by a link of that name or as the first argument. */
static bool run_as(const char *name, int argc, char **argv, int *code) {
  if (str_equal(name, "sftp-server")) *code = sftp_main(argc, argv);
  else if (str_equal(name, "scp")) *code = scp_main(argc, argv);
  else return false;
  return true;
}

int main(int argc, char **argv) {
  int code;
  if (argc > 0 && run_as(base_name(argv[0]), argc, argv, &code)) return code;
  if (argc > 1 && run_as(argv[1], argc - 1, argv + 1, &code)) return code;
  if (argc == 2 && str_equal(argv[1], "serve")) return serve();
  if (argc == 2 && str_equal(argv[1], "hold")) return hold();
  if (argc == 2 && str_equal(argv[1], "version")) return version();
  const char usage[] = "usage: hatchway-guest serve | hold | version | sftp-server ... | scp ...\n";
  sys_write(2, usage, sizeof usage - 1);
  return 2;
}
