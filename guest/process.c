#include "process.h"
#include "flow.h"
#include "pty.h"
#include "reap.h"
#include "request.h"

enum { DRAIN_MAX = 256 << 10 };

/* ---- start ---- */

static void close_all(int *fds, int n) {
  for (int i = 0; i < n; i++)
    if (fds[i] >= 0) sys_close(fds[i]);
}

/* Our ends and the child's; -1 where there is none. On an error everything is closed again. */
struct plumbing {
  int in, out, err, status, monitor;
  struct ends child;
  int child_monitor;
};

static int make_pipe(int *read_end, int *write_end) {
  int both[2];
  int error = sys_pipe2(both, O_CLOEXEC);
  if (error == 0) *read_end = both[0], *write_end = both[1];
  return error;
}

static int plumb_pipes(struct plumbing *p, const u8 *token) {
  int line = token ? switch_connect(token) : -1, error = 0;
  if (line >= 0) p->child.in = p->child.out = line;
  else error = make_pipe(&p->child.in, &p->in);
  if (!error && line < 0) error = make_pipe(&p->out, &p->child.out);
  if (!error) error = make_pipe(&p->err, &p->child.err);
  if (error) return error;
  /* Ours only: the two ends are separate descriptions, and the program's must block. */
  if (line < 0) sys_nonblock(p->in), sys_nonblock(p->out);
  sys_nonblock(p->err);
  return 0;
}

static int plumb_pty(struct plumbing *p, const struct spawn *request) {
  struct pty pty;
  int error = pty_open(&pty);
  if (error) return -error;
  p->in = p->out = pty.master;
  p->child.in = p->child.out = p->child.err = pty.slave;
  p->child.pty = pty.number;
  modes_apply(pty.slave, request->modes);
  pty_size(pty.master, request->cols, request->rows, request->xpixel, request->ypixel);
  return 0;
}

static void unplumb_child(struct plumbing *p) {
  int fds[] = {p->child.in, p->child.out == p->child.in ? -1 : p->child.out,
               p->child.err == p->child.in ? -1 : p->child.err, p->child.status, p->child_monitor};
  close_all(fds, 5);
}
static void close_plumbing(struct plumbing *p) {
  int fds[] = {p->in, p->out == p->in ? -1 : p->out, p->err, p->status, p->monitor};
  unplumb_child(p);
  close_all(fds, 5);
}

static int open_plumbing(struct plumbing *p, const struct spawn *request, u8 *stage) {
  int both[2];
  *p = (struct plumbing){-1, -1, -1, -1, -1, {-1, -1, -1, -1, 0}, -1};
  bool pty = request->flags & SPAWN_PTY;
  int error = pty ? plumb_pty(p, request) : plumb_pipes(p, request->token);
  *stage = pty && error != -EMFILE && error != -ENFILE ? STAGE_PTY : STAGE_RESOURCES;
  if (error) return error;
  *stage = STAGE_RESOURCES;
  error = make_pipe(&p->status, &p->child.status);
  if (error) return error;
  sys_nonblock(p->status);
  if (!(request->flags & SPAWN_MONITOR)) return 0;
  error = sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, both);
  if (error) return error;
  p->monitor = both[0];
  p->child_monitor = both[1];
  return 0;
}

/* Who holds one of them still belongs to the session (session.c). */
static void note_pipes(struct chan *c) {
  const int fds[3] = {c->in, c->out, c->err};
  struct stat st;
  for (int i = 0; i < 3; i++) {
    if (sys_fstat(fds[i], &st) < 0) continue;
    c->process.pipe_device = st.st_dev;
    c->process.pipes[i] = st.st_ino;
  }
}

void process_spawn(u32 id, const struct spawn *request) {
  struct plumbing p;
  u8 stage;
  struct chan *c = chan_new(id, KIND_PROCESS);
  if (!c) return send_fail(id, EAGAIN, STAGE_RESOURCES);
  int error = open_plumbing(&p, request, &stage);
  u64 mask = 0;
  int pid = 0;
  if (!error) {
    /* No signal of ours must be handled, or lost, in a child that still runs the helper's code. */
    sys_sigmask(~(u64)0, &mask);
    pid = sys_fork();
    if (pid == 0 && p.child_monitor >= 0) monitor_run(request, &p.child, p.child_monitor);
    if (pid == 0) child_run(request, &p.child);
    sys_sigmask(mask, NULL);
    if (pid < 0) error = pid;
  }
  if (error) {
    close_plumbing(&p);
    chan_retire(c);
    chan_free(c);
    return send_fail(id, -error, stage);
  }
  unplumb_child(&p);
  c->in = p.in, c->out = p.out, c->err = p.err;
  c->credit = request->credit;
  c->process = (struct process){.status = p.status, .monitor = p.monitor, .master = -1};
  c->process.pty = request->flags & SPAWN_PTY;
  c->process.own_line = p.in < 0;
  c->process.monitored = p.monitor >= 0;
  c->process.pid = p.monitor >= 0 ? 0 : pid; /* a monitor will tell */
  c->process.monitor_pid = p.monitor >= 0 ? pid : 0;
  chan_watch(c, WATCH_STATUS, p.status, EPOLLIN);
  if (p.monitor >= 0) chan_watch(c, WATCH_MONITOR, p.monitor, EPOLLIN);
  if (c->process.pty) {
    c->in_ready = true;
    return chan_watch(c, WATCH_BOTH, c->out, WATCH_INPUT);
  }
  note_pipes(c);
  if (!c->process.own_line) {
    chan_watch(c, WATCH_IN, c->in, EPOLLOUT);
    chan_watch(c, WATCH_OUT, c->out, EPOLLIN);
  }
  chan_watch(c, WATCH_ERR, c->err, EPOLLIN);
}

void process_status(struct chan *c) {
  u32 message[2];
  struct process *p = &c->process;
  if (c->kind != KIND_PROCESS || p->status < 0) return; /* ended by an event before this one */
  long n = sys_read(p->status, message, sizeof message);
  if (n == -EAGAIN || n == -EINTR) return;
  unwatch_close(&p->status);
  if (p->monitored) process_monitor(c); /* the leader's pid lies there */
  if (n != sizeof message && !p->pid) message[0] = STAGE_RESOURCES, message[1] = ECHILD; /* somebody killed the monitor */
  else if (n != sizeof message) { /* closed by execve */
    chan_opened(c, (u32)p->pid);
    flow_wake(c);
    process_settle(c);
    return;
  }
  send_fail(c->id, (int)message[1], (u8)message[0]);
  chan_retire(c);
  unwatch_close(&p->monitor); /* its child is dead or dying: nothing is left for it to kill */
  chan_free(c);               /* and a dead child is reaped like any orphan */
  process_children();
}

/* ---- end ---- */

static void leader_died(struct chan *c, const u8 exit[3]) {
  struct process *p = &c->process;
  p->dead = true;
  memcpy(p->exit, exit, sizeof p->exit);
  if (c->kind != KIND_PROCESS) return;
  if (p->pty && c->out >= 0) c->out_ready = true; /* to be read empty before EXIT */
  process_settle(c);
}

void process_monitor(struct chan *c) {
  struct process *p = &c->process;
  while (p->monitor >= 0) {
    struct monitor_message m;
    long n = sys_recv(p->monitor, &m, sizeof m, MSG_DONTWAIT_);
    if (n == -EAGAIN || n == -EINTR) return;
    if (n == sizeof m && m.what == MONITOR_PID) p->pid = m.pid;
    if (n == sizeof m && m.what == MONITOR_EXIT) {
      leader_died(c, m.exit);
      if (c->kind != KIND_PROCESS && c->kind != KIND_ENDING) return;
    }
    if (n == sizeof m) continue;
    /* The monitor is gone: done with a tree, or killed. Then the session is ours, as the next subreaper. */
    if (c->kind == KIND_ENDING) return session_monitor_gone(c);
    unwatch_close(&p->monitor);
    p->monitored = false;
    if (!c->open && p->status >= 0) return; /* it could not fork: the status pipe says why */
    process_children();
    return;
  }
}

static bool held_leader(int pid) {
  for (u32 i = 0; i < chans_used(); i++) {
    struct chan *c = chan_at(i);
    if ((c->kind == KIND_PROCESS || c->kind == KIND_ENDING) && c->process.pid == pid && !c->process.monitored) return true;
  }
  return false;
}

void process_children(void) {
  for (u32 i = 0; i < chans_used(); i++) {
    struct chan *c = chan_at(i);
    struct process *p = &c->process;
    const u8 lost[3] = {1, SIGKILL, 0};
    u8 exit[3];
    if ((c->kind != KIND_PROCESS && c->kind != KIND_ENDING) || p->dead || p->monitored || !p->pid) continue;
    /* A dying monitor's descriptors close before its children become ours: what it had is told by its SIGCHLD. */
    if (p->monitor_pid && reap_peek(p->monitor_pid, exit) != 0) p->monitor_pid = 0;
    int state = reap_peek(p->pid, exit);
    /* Not our child: its monitor was killed, and so was it, or somebody between took it. */
    if (state > 0 || (state < 0 && !p->monitor_pid)) leader_died(c, state > 0 ? exit : lost);
  }
  reap_children(held_leader);
}

static void process_over(struct chan *c) {
  struct process *p = &c->process;
  chan_closed(c);
  chan_retire(c);
  unwatch_close(&p->status);
  unwatch_close(&p->master);
  if (p->monitor >= 0) {
    struct monitor_message order = {.what = MONITOR_RELEASE};
    sys_send(p->monitor, &order, sizeof order, MSG_NOSIGNAL_ | MSG_DONTWAIT_);
    unwatch_close(&p->monitor);
  }
  if (p->pid && !p->monitored) reap_one(p->pid);
  chan_free(c);
}

/* A pty's EXIT follows the program's last output: the gateway closes at EXIT. Pipes have ends of their own to tell that. */
static bool output_drained(struct chan *c) {
  int n = 0;
  if (!c->process.pty || c->out < 0 || !c->out_ready) return true;
  if (c->process.after_death >= DRAIN_MAX) return true; /* another one goes on writing */
  return c->credit == 0 && sys_ioctl(c->out, FIONREAD, &n) == 0 && n == 0;
}

void process_settle(struct chan *c) {
  struct process *p = &c->process;
  if (!c->open) return;
  if (p->dead && !p->exit_sent && output_drained(c)) {
    p->exit_sent = true;
    chan_send(c, F_EXIT, p->exit, sizeof p->exit);
  }
  if (p->exit_sent && c->out < 0 && c->err < 0) process_over(c);
  else flow_wake(c);
}

/* ---- meanwhile ---- */

static int terminal_of(const struct chan *c) { return c->out >= 0 ? c->out : c->process.master; }

void process_signal(struct chan *c, int signal) {
  struct process *p = &c->process;
  int group = p->pty && terminal_of(c) >= 0 ? pty_foreground(terminal_of(c)) : 0;
  if (!group) group = p->pid; /* setsid made it the leader of its group, too */
  if (group > 1) sys_kill(-group, signal);
}

void process_resize(struct chan *c, u16 cols, u16 rows, u16 xpixel, u16 ypixel) {
  if (c->process.pty && terminal_of(c) >= 0) pty_size(terminal_of(c), cols, rows, xpixel, ypixel);
}
