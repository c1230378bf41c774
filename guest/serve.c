/* `serve`: the loop. Events set flags, flags are worked off in turns, and no call blocks but epoll_wait. */
#include "serve.h"
#include "flow.h"
#include "process.h"
#include "reap.h"
#include "request.h"
#include "resolve.h"
#include "socket.h"

enum { INIT_WITHIN = 30000, ENDING_EXTRA = 5000, DRAIN_FOR = 1000 };

struct guest guest;

/* ---- events ---- */

u64 watch_key(enum watch what, u32 slot, u32 generation) { return (u64)generation << 32 | slot << 8 | what; }

int watch(int fd, u64 key, u32 events) {
  struct epoll_event event = {.events = events | EPOLLET, .data = key};
  return sys_epoll_ctl(guest.epoll, EPOLL_CTL_ADD, fd, &event);
}

void watch_room(int fd, u64 key, bool wanted) {
  struct epoll_event event = {.events = WATCH_INPUT | EPOLLET | (wanted ? EPOLLOUT : 0), .data = key};
  sys_epoll_ctl(guest.epoll, EPOLL_CTL_MOD, fd, &event);
}

void unwatch_close(int *fd) {
  struct epoll_event none = {0};
  if (*fd < 0) return;
  /* Not left to close: a child that is on its way to execve may have a copy, and the registration would outlive ours. */
  sys_epoll_ctl(guest.epoll, EPOLL_CTL_DEL, *fd, &none);
  sys_close(*fd);
  *fd = -1;
}

static void channel_event(struct chan *c, enum watch what, u32 events) {
  bool readable = events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP), gone = events & (EPOLLHUP | EPOLLERR);
  if (what == WATCH_STATUS) return process_status(c);
  if (what == WATCH_MONITOR) return process_monitor(c);
  if (c->kind == KIND_SOCKET && !c->open) return socket_event(c);
  if (what == WATCH_BOTH && events & EPOLLOUT) chan_await_room(c, false);
  if (what == WATCH_IN || (what == WATCH_BOTH && events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
    c->in_ready = c->in >= 0;
    /* A pipe's error is that nobody reads it any more; its write would say so, but there may be nothing to write. */
    if (what == WATCH_IN && events & EPOLLERR && c->open) flow_unread(c);
    else flow_write(c);
    if (c->kind == KIND_FREE || c->kind == KIND_ENDING) return;
  }
  if ((what == WATCH_OUT || what == WATCH_BOTH) && readable && c->out >= 0) c->out_ready = true, c->out_hup |= gone;
  if (what == WATCH_ERR && readable && c->err >= 0) c->err_ready = true, c->err_hup |= gone;
  if (c->kind == KIND_LISTENER) return listener_accept(c);
  flow_wake(c);
}

static void drain_signals(void) {
  u8 info[128]; /* struct signalfd_siginfo: ssi_signo is its first word */
  while (sys_read(guest.signals, info, sizeof info) == sizeof info) {
    u32 signal;
    memcpy(&signal, info, sizeof signal);
    if (signal == SIGTERM) finish(0);
  }
  process_children();
}

static void line_event(struct line *l, u32 events) {
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) l->readable = true;
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) l->writable = true;
}

static void handle_event(const struct epoll_event *event) {
  u32 generation = (u32)(event->data >> 32), slot = (u32)event->data >> 8;
  enum watch what = event->data & 0xff;
  switch (what) {
  case WATCH_EXEC_IN:
  case WATCH_EXEC_OUT: return line_event(&guest.exec, event->events);
  case WATCH_SOCKET:
    if (event->events & EPOLLOUT) watch_room(guest.socket.out, event->data, false);
    return line_event(&guest.socket, event->events);
  case WATCH_SIGNALS: return drain_signals();
  case WATCH_LOOKUP: return resolve_event(slot, generation);
  default: {
    struct chan *c = chan_at(slot);
    if (c && c->kind != KIND_FREE && c->generation == generation) channel_event(c, what, event->events);
  }
  }
}

/* ---- lines ---- */

static bool line_converses(const struct line *l) { return l->in >= 0 && !guest.ending; }

static void handle_frames(struct line *l) {
  struct frame f;
  while (line_converses(l) && line_can_answer(l) && line_can_answer(guest.line)) {
    int state = line_next(l, &f);
    if (state < 0) malformed("a frame too long", 0);
    if (state <= 0) return;
    frame_handle(l, &f);
  }
}

/* Input is left where it is while its answers would find no room: then the gateway does not read, and gets no more. */
static void hear_line(struct line *l) {
  if (!line_converses(l)) return;
  handle_frames(l);
  if (!line_converses(l) || !l->readable || !line_can_answer(l) || !line_can_answer(guest.line)) return;
  if (line_fill(l) < 0) finish(0);
  else handle_frames(l);
}

static bool more_to_hear(const struct line *l) {
  return line_converses(l) && (l->readable || line_has_frame(l)) && line_can_answer(l) && line_can_answer(guest.line);
}

/* Returns whether the other side is still there. */
static bool speak_line(struct line *l) {
  bool writable = l->writable;
  line_flush(l);
  if (writable && !l->writable && !l->failed && l == &guest.socket) watch_room(l->out, watch_key(WATCH_SOCKET, 0, 0), true);
  return !l->failed;
}

/* ---- time ---- */

/* The lease is judged only after everything that lay there was read: a container that was paused finds its frames. */
static void judge_lease(void) {
  if (guest.ending || guest.now < guest.lease_until) return;
  struct line *lines[] = {&guest.exec, &guest.socket};
  for (int i = 0; i < 2; i++) {
    struct line *l = lines[i];
    l->readable = l->in >= 0;
    while (more_to_hear(l)) hear_line(l);
  }
  if (guest.ending || guest.now < guest.lease_until) return;
  note(guest.initialised ? "no frame within the lease" : "no INIT", NULL, guest.lease);
  finish(0);
}

static void take_sooner(u64 *next, u64 when) {
  if (when && when < *next) *next = when;
}

static void retry_channels(u64 *next) {
  for (u32 i = 0; chans_due && i < chans_used(); i++) {
    struct chan *c = chan_at(i);
    if (c->kind != KIND_SOCKET && c->kind != KIND_LISTENER) continue;
    if (c->due && guest.now >= c->due) {
      if (c->kind == KIND_LISTENER) listener_accept(c);
      else socket_due(c);
    }
    take_sooner(next, c->due);
  }
}

/* Does what is due; returns how long epoll may wait. */
static int keep_time(void) {
  u64 next = guest.ending ? guest.ending_limit : guest.lease_until;
  judge_lease();
  retry_channels(&next);
  take_sooner(&next, session_tick());
  take_sooner(&next, resolve_tick());
  take_sooner(&next, switch_tick());
  if (guest.ending) take_sooner(&next, guest.ending_limit);
  return next <= guest.now ? 0 : next - guest.now > 60000 ? 60000 : (int)(next - guest.now);
}

/* ---- the end ---- */

void note(const char *what, const char *detail, u64 number) {
  char line[256];
  struct text t = text_in(line, sizeof line);
  text_add(&t, "hatchway-guest: ");
  text_add(&t, what);
  if (detail) text_add(&t, ": "), text_add(&t, detail);
  text_add(&t, " (");
  text_number(&t, number);
  text_add(&t, ")\n");
  sys_write(2, t.at, t.length);
}

void finish(int code) {
  if (guest.ending) return;
  guest.ending = true;
  guest.exit_code = code;
  guest.ending_limit = guest.now + guest.grace + ENDING_EXTRA;
  for (u32 i = 0; i < chans_used(); i++) {
    struct chan *c = chan_at(i);
    if (c->kind == KIND_PROCESS) session_end(c, c->process.monitored ? CLOSE_TREE : CLOSE_HANGUP);
    else if (c->kind == KIND_SOCKET) socket_close(c);
    else if (c->kind == KIND_LISTENER) listener_close(c);
  }
}

void malformed(const char *what, u32 channel) {
  note("malformed", what, channel);
  finish(3);
}

/* SHUTDOWN, and the last channel is gone: what was said of it still has to be read. */
static bool helper_drained(void) {
  static u64 limit;
  if (!guest.draining || chans_open() || guest.request_channel) return false;
  if (!limit) limit = guest.now + DRAIN_FOR;
  return guest.now >= limit || (!guest.exec.output.used && !guest.socket.output.used);
}

static bool helper_ended(void) { return guest.ending && (!sessions_ending() || guest.now >= guest.ending_limit); }

/* ---- the loop ---- */

static void take_over(void) {
  struct rlimit64 limit;
  int opened;
  do opened = sys_open("/dev/null", O_RDWR, 0);
  while (opened >= 0 && opened < 3); /* 0, 1 and 2 are never something else's */
  close_from(3);
  sys_prctl(PR_SET_DUMPABLE, 0); /* before anything else of the same uid can look: no ptrace, no /proc/PID/fd */
  sys_prctl(PR_SET_NAME, (unsigned long)"hatchway-guest");
  sys_prctl(PR_SET_CHILD_SUBREAPER, 1);
  sys_umask(077);
  sys_signal_ignore(SIGPIPE);
  sys_signal_ignore(SIGHUP);
  sys_signal_ignore(SIGINT);
  sys_signal_ignore(SIGQUIT);
  sys_sigmask(sigbit(SIGCHLD) | sigbit(SIGTERM), NULL);
  sys_signal_default(SIGCHLD); /* ignored, it would reap by itself */
  /* Three descriptors a program; the programs get the limit they would have had. */
  sys_prlimit(RLIMIT_NOFILE, NULL, &guest.descriptors);
  limit = guest.descriptors;
  if (limit.rlim_cur < 8 * CHANNELS_MAX) limit.rlim_cur = limit.rlim_max < 8 * CHANNELS_MAX ? limit.rlim_max : 8 * CHANNELS_MAX;
  sys_prlimit(RLIMIT_NOFILE, &limit, NULL);
}

static void say_hello(void) {
  u8 payload[22] = "HWG1";
  put_u16(payload + 4, VERSION);
  put_u32(payload + 6, FEATURE_SFTP | FEATURE_RESOLVER | FEATURE_OWN_LINE);
  put_u32(payload + 10, sys_geteuid());
  put_u32(payload + 14, sys_getegid());
  put_u32(payload + 18, (u32)sys_getpid());
  line_send(&guest.exec, F_HELLO, 0, payload, sizeof payload);
}

static bool prepare_helper(void) {
  guest.epoll = sys_epoll_create();
  guest.signals = sys_signalfd(sigbit(SIGCHLD) | sigbit(SIGTERM));
  guest.socket.in = guest.socket.out = -1;
  guest.line = &guest.exec;
  if (guest.epoll < 0 || guest.signals < 0 || !line_open(&guest.exec, 0, 1) || !request_init()) return false;
  sys_nonblock(0);
  sys_nonblock(1);
  sys_nonblock(2);
  /* EPERM for a file or /dev/null: there is nobody to talk to. */
  if (watch(0, watch_key(WATCH_EXEC_IN, 0, 0), EPOLLIN | EPOLLRDHUP) < 0) return false;
  if (watch(1, watch_key(WATCH_EXEC_OUT, 0, 0), EPOLLOUT) < 0) return false;
  return watch(guest.signals, watch_key(WATCH_SIGNALS, 0, 0), EPOLLIN) == 0;
}

int serve(void) {
  struct epoll_event events[64];
  take_over();
  if (!prepare_helper()) {
    note("no memory, or stdin or stdout is no pipe or socket", NULL, 0);
    return 1;
  }
  guest.now = sys_milliseconds();
  guest.lease_until = guest.now + INIT_WITHIN;
  say_hello();
  for (int wait = 0;;) {
    int n = sys_epoll_wait(guest.epoll, events, 64, wait);
    guest.now = sys_milliseconds();
    for (int i = 0; i < n; i++) handle_event(&events[i]);
    hear_line(&guest.exec);
    hear_line(&guest.socket);
    if (helper_drained()) finish(0);
    wait = keep_time();
    if (!guest.ending) flow_turns();
    bool heard = speak_line(&guest.exec) && speak_line(&guest.socket);
    if (!heard && !guest.ending) finish(0), wait = 0;
    if (helper_ended()) return guest.exit_code;
    /* What left just now has made room. */
    if (!guest.ending && flow_can_turn()) wait = 0;
    if (more_to_hear(&guest.exec) || more_to_hear(&guest.socket)) wait = 0;
  }
}
