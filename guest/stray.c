#include "stray.h"
#include "proc.h"

/* Whether one of its arguments is `mark`, of any number and length. */
static bool has_argument(int pid, const char *mark) {
  char piece[512];
  size_t matched = 0; /* bytes of this argument, while they are the mark's */
  bool differs = false, found = false;
  int fd = proc_open(pid, "/cmdline");
  if (fd < 0) return false;
  for (long n; !found && (n = sys_read(fd, piece, sizeof piece)) > 0;) {
    for (long i = 0; i < n && !found; i++) {
      if (piece[i]) {
        if (!differs && piece[i] == mark[matched]) matched++;
        else differs = true;
        continue;
      }
      found = !differs && !mark[matched];
      matched = 0;
      differs = false;
    }
  }
  sys_close(fd);
  return found;
}

static void kill_session(int sid) {
  struct proc_walk walk;
  if (!proc_walk_open(&walk, "/proc")) return;
  for (int pid; (pid = proc_walk_next(&walk)) >= 0;)
    if (pid > 1 && proc_in_session(pid, sid)) proc_signal(pid, SIGKILL, proc_in_session, sid);
}

int stray_end(const char *mark) {
  struct proc_walk walk;
  struct proc_stat st, own;
  if (!proc_stat(sys_getpid(), &own) || !proc_walk_open(&walk, "/proc")) return 1;
  for (int pid; (pid = proc_walk_next(&walk)) >= 0;) {
    if (pid <= 1 || !has_argument(pid, mark) || !proc_stat(pid, &st)) continue;
    if (st.session > 1 && st.session != own.session) kill_session(st.session);
  }
  return 0;
}
