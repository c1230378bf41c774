/* The end of a session: signals to every process of its session id, SIGKILL after the grace, and who is spared.
 * The leader is held as a zombie all the while (process.h), so the id is this session's and nobody else's. */
#include "proc.h"
#include "process.h"
#include "reap.h"

enum { KILLING_TIME = 3000 }; /* how long SIGKILL is repeated: a fork may have escaped the walk, a disk may hang */

static u32 ending_count;
static u64 next_look;
static u32 look_pause;

u32 sessions_ending(void) { return ending_count; }

void session_end(struct chan *c, u8 mode) {
  struct process *p = &c->process;
  bool opening = !c->open;
  chan_closed(c);
  chan_retire(c); /* a pty's master is closed here, and the kernel hangs up what has it as its terminal */
  unwatch_close(&p->status);
  unwatch_close(&p->master);
  p->mode = mode;
  p->signalled = false;
  p->deadline = guest.now + guest.grace;
  ending_count++;
  if (opening && p->pid && !p->monitored) sys_kill(p->pid, SIGKILL); /* our child, not reaped: nobody else has its pid */
  if (p->monitored && (mode == CLOSE_TREE || opening)) {
    struct monitor_message order = {.what = MONITOR_KILL};
    sys_send(p->monitor, &order, sizeof order, MSG_NOSIGNAL_ | MSG_DONTWAIT_);
  }
  next_look = guest.now;
  look_pause = 10;
}

static void session_over(struct chan *c) {
  struct process *p = &c->process;
  if (p->monitor >= 0) {
    struct monitor_message order = {.what = MONITOR_RELEASE};
    sys_send(p->monitor, &order, sizeof order, MSG_NOSIGNAL_ | MSG_DONTWAIT_);
    unwatch_close(&p->monitor);
  }
  if (p->pid && !p->monitored) reap_one(p->pid);
  ending_count--;
  chan_free(c);
}

void session_monitor_gone(struct chan *c) {
  unwatch_close(&c->process.monitor);
  if (c->process.mode == CLOSE_TREE) session_over(c); /* that was its last work */
}

static bool by_monitor(const struct process *p) { return p->mode == CLOSE_TREE && p->monitor >= 0; }

static struct chan *session_of(int sid) {
  for (u32 i = 0; i < chans_used(); i++) {
    struct chan *c = chan_at(i);
    if (c->kind == KIND_ENDING && c->process.pid == sid && !by_monitor(&c->process)) return c;
  }
  return NULL;
}

/* `server >log 2>&1 &`, as IDEs start theirs, holds none of the session's pipes, and a shell gives it /dev/null as its
 * stdin: sshd would let such a session end and leave it running. On a terminal the terminal tells them, as ever. */
static bool is_detached(int pid, const struct process *p) {
  if (p->pty || pid == p->pid) return false;
  for (int fd = 0; fd <= 2; fd++) {
    struct stat st;
    if (!proc_fd_stat(pid, fd, &st)) return false; /* not ours to look at */
    if (st.st_dev != p->pipe_device) continue;
    for (int i = 0; i < 3; i++)
      if (st.st_ino == p->pipes[i]) return false;
  }
  return true;
}

static void see_to(int pid, struct process *p) {
  /* Terminate is an administrator's word and spares nobody. */
  bool hangup = p->mode == CLOSE_HANGUP;
  if (hangup && is_detached(pid, p)) return;
  bool spared = hangup && proc_ignores(pid, SIGHUP); /* nohup: to be left alone was asked for */
  if (!spared) p->alive = true;
  if (!p->signalled) {
    proc_signal(pid, p->mode == CLOSE_TERMINATE ? SIGTERM : SIGHUP, proc_in_session, p->pid);
    proc_signal(pid, SIGCONT, proc_in_session, p->pid); /* a stopped one would not notice */
  } else if (!spared && guest.now >= p->deadline) {
    proc_signal(pid, SIGKILL, proc_in_session, p->pid);
  }
}

/* One walk through /proc serves all of them: a helper that ends with a thousand sessions walks once, too. */
static void walk_sessions(void) {
  struct proc_walk walk;
  struct proc_stat st;
  if (!proc_walk_open(&walk, "/proc")) return;
  for (int pid; (pid = proc_walk_next(&walk)) >= 0;) {
    if (pid <= 1 || !proc_stat(pid, &st) || st.session <= 1 || st.state == 'Z' || st.state == 'X') continue;
    struct chan *c = session_of(st.session);
    if (c) see_to(pid, &c->process);
  }
}

u64 session_tick(void) {
  if (!ending_count) return 0;
  if (guest.now < next_look) return next_look;
  for (u32 i = 0; i < chans_used(); i++)
    if (chan_at(i)->kind == KIND_ENDING) chan_at(i)->process.alive = false;
  walk_sessions();
  for (u32 i = 0; i < chans_used(); i++) {
    struct chan *c = chan_at(i);
    struct process *p = &c->process;
    if (c->kind != KIND_ENDING) continue;
    bool late = guest.now > p->deadline + KILLING_TIME + (by_monitor(p) ? 2000 : 0);
    if (late || (!p->alive && !by_monitor(p))) session_over(c);
    else p->signalled = true;
  }
  next_look = guest.now + look_pause;
  if (look_pause < 200) look_pause *= 2;
  return ending_count ? next_look : 0;
}
