/* A session's monitor: its subreaper parent. What the session leaves behind, however often it forked and whatever session it
 * called for, becomes a child of the monitor when its parent dies, so nothing escapes. */
#include "guest.h"
#include "proc.h"
#include "process.h"
#include "reap.h"

static int leader_pid;
static bool end_told; /* the leader's end; from then on it is kept as a zombie, which keeps its number */

static bool held_leader(int pid) { return pid == leader_pid && end_told; }
static bool held_none(int pid) { (void)pid; return false; }

static bool is_descendant(int pid, int of) {
  struct proc_stat st;
  for (int depth = 0; depth < 4096 && pid > 1; depth++) {
    if (!proc_stat(pid, &st)) return false;
    if (st.parent == of) return true;
    pid = st.parent;
  }
  return false;
}

static void signal_descendants(int signal) {
  struct proc_walk walk;
  int self = sys_getpid();
  if (!proc_walk_open(&walk, "/proc")) return;
  for (int pid; (pid = proc_walk_next(&walk)) >= 0;)
    if (pid > 1 && is_descendant(pid, self)) proc_signal(pid, signal, is_descendant, self);
}

static bool have_children(void) {
  siginfo_t info;
  return sys_waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void kill_tree(u32 grace) {
  u64 start = sys_milliseconds(), elapsed = 0;
  signal_descendants(SIGHUP);
  signal_descendants(SIGCONT);
  for (u32 pause = 1;; pause = pause < 50 ? pause * 2 : 50) {
    reap_children(held_none);
    if (!have_children()) return;
    elapsed = sys_milliseconds() - start;
    /* Again and again: what was forked between the walk and the signal has a parent that is dying. */
    if (elapsed >= grace) signal_descendants(SIGKILL);
    /* What an unprivileged user may not kill (a set-user-ID child) must not keep the monitor for ever. */
    if (elapsed >= (u64)grace + 3000) return;
    sys_sleep(pause);
  }
}

static void tell_helper(int control, u8 what, const u8 exit[3]) {
  struct monitor_message m = {.what = what, .pid = leader_pid};
  if (exit) memcpy(m.exit, exit, 3);
  sys_send(control, &m, sizeof m, MSG_NOSIGNAL_);
}

/* Returns when the session is to be killed, with the grace it gets; leaves for good when it is let go. */
static u32 wait_for_orders(int control, int signals) {
  struct epoll_event event = {.events = EPOLLIN};
  int epoll = sys_epoll_create();
  sys_epoll_ctl(epoll, EPOLL_CTL_ADD, control, &event);
  sys_epoll_ctl(epoll, EPOLL_CTL_ADD, signals, &event);
  for (;;) {
    u8 exit[3], drained[1024], failed[3] = {1, SIGKILL, 0};
    struct monitor_message order;
    while (sys_read(signals, drained, sizeof drained) > 0) {}
    int state = end_told ? 0 : reap_peek(leader_pid, exit);
    if (state != 0) {
      end_told = true;
      tell_helper(control, MONITOR_EXIT, state > 0 ? exit : failed);
    }
    reap_children(held_leader);
    long n = sys_recv(control, &order, sizeof order, MSG_DONTWAIT_);
    if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR)) return guest.grace; /* the helper is gone */
    if (n == sizeof order && order.what == MONITOR_RELEASE) sys_exit(0);
    if (n == sizeof order && order.what == MONITOR_KILL) return guest.grace;
    sys_epoll_wait(epoll, &event, 1, -1);
  }
}

void monitor_run(const struct spawn *request, const struct ends *ends, int control) {
  sys_prctl(PR_SET_CHILD_SUBREAPER, 1);
  sys_prctl(PR_SET_NAME, (unsigned long)"hatchway-mon");
  sys_setsid();
  leader_pid = sys_fork();
  if (leader_pid < 0) child_fail(ends->status, STAGE_RESOURCES, -leader_pid);
  if (leader_pid == 0) child_run(request, ends);
  tell_helper(control, MONITOR_PID, NULL); /* before the status pipe's end, which is when the helper looks for it */
  /* Every signal is blocked already: only the helper ends a monitor. The session's descriptors are not its business, and
   * a pipe it kept open would never end. */
  sys_dup3(control, 0, O_CLOEXEC);
  close_from(1);
  kill_tree(wait_for_orders(0, sys_signalfd(sigbit(SIGCHLD))));
  sys_exit(0);
}
