/* The holder container's program: says who it is in the target's pid namespace and keeps /proc/PID/root there until the
 * helper was started from it, or has connected through it.
 *
 * It must be dumpable then: that is what lets the target's exec pass ptrace's access check (ptrace(2)). But who passes that
 * check may attach as well, and the holder is in no cgroup of the target's. So nobody gains a thing by it: before it
 * becomes dumpable it has given up every system call that it does not need itself, for ever. Its file in the holder's image
 * may be executed and not read, which makes it not dumpable from its first instruction on (prctl(2), PR_SET_DUMPABLE). */
#include "hold.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "str.h"
#include "sys.h"

#if defined(__x86_64__)
enum { ARCHITECTURE = (int)AUDIT_ARCH_X86_64 };
#else
enum { ARCHITECTURE = (int)AUDIT_ARCH_AARCH64 };
#endif

enum { CPU_SECONDS = 1, LONGEST = 60 * 1000 /* ms */ };

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)(value), 0, n)
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, action)
#define ALLOW(call) SKIP_UNLESS(__NR_##call, 1), ANSWER(SECCOMP_RET_ALLOW)

/* No memory, no process, no file, no other signal mask: what is put into it by a tracer can do no more than it itself. */
static void give_up_the_rest(void) {
  struct sock_filter filter[] = {
      LOAD(arch), SKIP_UNLESS(ARCHITECTURE, 15),
      LOAD(nr),
      ALLOW(read), ALLOW(write), ALLOW(epoll_pwait), ALLOW(clock_gettime), ALLOW(exit_group),
      SKIP_UNLESS(__NR_prctl, 3), LOAD(args[0]), SKIP_UNLESS(PR_SET_DUMPABLE, 1), ANSWER(SECCOMP_RET_ALLOW),
      ANSWER(SECCOMP_RET_KILL_PROCESS),
  };
  struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
  struct rlimit64 cpu = {CPU_SECONDS, CPU_SECONDS};
  sys_prlimit(RLIMIT_CPU, &cpu, NULL);
  sys_prctl(PR_SET_NO_NEW_PRIVS, 1);
  /* A kernel without seccomp: the container's own limits are left. */
  sys_seccomp_filter(&program);
}

int hold(const char *milliseconds) {
  char line[24];
  struct text t = text_in(line, sizeof line);
  struct epoll_event event = {.events = EPOLLIN};
  u32 hold_for;
  if (!str_u32(&milliseconds, &hold_for) || *milliseconds || hold_for > LONGEST) return 2;
  u64 until = sys_milliseconds() + hold_for;
  sys_prctl(PR_SET_DUMPABLE, 0);
  text_number(&t, (u64)sys_getpid());
  text_add(&t, "\n");
  int epoll = sys_epoll_create();
  sys_epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event);
  give_up_the_rest();
  sys_prctl(PR_SET_DUMPABLE, 1);
  if (sys_write(1, t.at, t.length) != (long)t.length) return 1;
  /* A dying engine may leave stdin open for ever, and nobody to remove the container: hence the limit. */
  for (u64 now; (now = sys_milliseconds()) < until;) {
    char ignored[256];
    if (sys_epoll_wait(epoll, &event, 1, (int)(until - now)) > 0 && sys_read(0, ignored, sizeof ignored) <= 0) break;
  }
  return 0;
}
