#include "reap.h"
#include "proc.h"

int reap_peek(int pid, u8 exit[3]) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  if (sys_waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0) return -1;
  if (info.si_pid != pid) return 0;
  exit[0] = info.si_code != CLD_EXITED;
  exit[1] = (u8)info.si_status;
  exit[2] = info.si_code == CLD_DUMPED;
  return 1;
}

void reap_one(int pid) {
  siginfo_t info;
  sys_waitid(P_PID, pid, &info, WEXITED | WNOHANG);
}

/* Our children, one by one: /proc/PID/task/PID/children (CONFIG_PROC_CHILDREN), else everybody whose parent we are. */
static void reap_each(bool (*held)(int pid)) {
  char buffer[4096];
  struct text path = text_in(buffer, sizeof buffer);
  int self = sys_getpid();
  text_add(&path, "/proc/self/task/");
  text_number(&path, (u64)self);
  text_add(&path, "/children");
  int fd = sys_open(buffer, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) {
    struct proc_walk walk;
    struct proc_stat st;
    if (!proc_walk_open(&walk, "/proc")) return;
    for (int pid; (pid = proc_walk_next(&walk)) >= 0;)
      if (pid > 1 && proc_stat(pid, &st) && st.state == 'Z' && st.parent == self && !held(pid)) reap_one(pid);
    return;
  }
  long n, kept = 0;
  while ((n = sys_read(fd, buffer + kept, sizeof buffer - 1 - (size_t)kept)) > 0) {
    buffer[kept + n] = 0;
    const char *s = buffer, *whole = buffer;
    u32 pid;
    /* "12 34 56 ": a number without its space goes on in the next piece. */
    for (; str_u32(&s, &pid) && *s == ' '; whole = ++s)
      if (!held((int)pid)) reap_one((int)pid);
    kept = buffer + kept + n - whole;
    memmove(buffer, whole, (size_t)kept);
    if (kept > 20) break;
  }
  sys_close(fd);
}

void reap_children(bool (*held)(int pid)) {
  for (;;) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (sys_waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) return;
    /* Which zombie is shown first is the kernel's choice; one that is held hides the others. */
    if (held(info.si_pid)) return reap_each(held);
    reap_one(info.si_pid);
  }
}
