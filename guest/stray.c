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

/* Everybody may read the mark and put it among arguments of their own: who is another user gets nobody's session killed.
 * With the host's processes (--pid host) the engine's CLI, which the gateway runs, has it as well: in another root. */
static bool is_ours(int pid) {
  struct stat root;
  return proc_is_users(pid, sys_getuid()) && sys_fstatat(AT_FDCWD, "/", &root, 0) == 0 && proc_has_root(pid, &root);
}

int stray_end(const char *mark) {
  struct proc_walk walk;
  struct proc_stat st, own;
  if (!proc_stat(sys_getpid(), &own) || !proc_walk_open(&walk, "/proc")) return 1;
  for (int pid; (pid = proc_walk_next(&walk)) >= 0;) {
    if (pid <= 1 || !proc_stat(pid, &st) || !has_argument(pid, mark) || !is_ours(pid)) continue;
    if (st.session > 1 && st.session != own.session) kill_session(st.session);
  }
  return 0;
}
