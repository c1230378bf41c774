/* Random and mutated input for everything that parses what others send: frames, SPAWN lists, DNS answers, addresses, text
 * files, terminal modes. Under ASan and UBSan; it ends by itself:  fuzz FRAMES SEED */
#include "../child.c"
#include "../chan.h"
#include "../dns.h"
#include "../flow.h"
#include "../request.h"
#include "../socket.h"
#include "../textfile.h"

struct guest guest;
bool sftp_read_only;
static u64 state;
static u64 refused, spawned, closed;

static u32 chance(u32 n) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return n ? (u32)(state >> 32) % n : 0;
}

/* ---- what the parsers call, without processes or a network ---- */

u64 watch_key(enum watch what, u32 slot, u32 generation) { return (u64)generation << 32 | slot << 8 | what; }
int watch(int fd, u64 key, u32 events) { return fd < 0 && key && events ? -1 : 0; }
void watch_room(int fd, u64 key, bool wanted) { (void)fd, (void)key, (void)wanted; }
void unwatch_close(int *fd) {
  if (*fd >= 0) sys_close(*fd);
  *fd = -1;
}
void note(const char *what, const char *detail, u64 number) { refused += what != NULL && detail == NULL && number > 0; }
void finish(int code) { refused += code != 0; }
/* The real one ends here; this one begins anew, so that a million frames are not one conversation of ten. */
void malformed(const char *what, u32 channel) {
  note(what, NULL, channel + 1);
  guest.request.n = guest.request_channel = 0;
}

static void die(const char *why) {
  sys_write(2, why, strlen(why));
  sys_write(2, "\n", 1);
  sys_exit(99);
}

/* As child.c does it after the fork, but for execve. */
static void build_strings(const struct spawn *r) {
  static char *pointers[1 << 20];
  struct ends ends = {.pty = chance(1000)};
  char ssh_tty[32];
  size_t need = r->argc + 1 + 2 * (size_t)r->envc + count_environment() + 4;
  if (need > sizeof pointers / sizeof *pointers) return;
  char **env = c_strings(r->argv, r->argc, pointers) + 1;
  environment(r, &ends, ssh_tty, env);
  size_t total = strlen(c_string(r->cwd)) + strlen(c_string(r->program));
  for (char **p = pointers; *p; p++) total += strlen(*p);
  for (char **p = env; *p; p++) total += strlen(*p);
  if (total > 4 * REQUEST_MAX) die("strings longer than the request");
  for (u32 i = 0; i < r->modes.n; i++) total += r->modes.at[i];
  for (u32 i = 0; i < r->warn.n; i++) total += r->warn.at[i];
  spawned += total > 0;
}

void process_spawn(u32 id, const struct spawn *r) {
  struct chan *c = chan_new(id, KIND_PROCESS);
  if (!r->sftp) build_strings(r);
  if (!c) return send_fail(id, EAGAIN, STAGE_RESOURCES);
  c->process = (struct process){.pty = r->flags & SPAWN_PTY, .status = -1, .monitor = -1, .master = -1};
  c->credit = r->credit;
  c->process.own_line = r->token && r->token[15];
  if (!c->process.own_line) {
    c->in = sys_open("/dev/null", O_WRONLY, 0);
    c->out = sys_open(chance(2) ? "/dev/zero" : "/dev/null", O_RDONLY, 0);
    c->in_ready = chance(2), c->out_ready = chance(2);
  }
  chan_opened(c, 1);
}
static void drop(struct chan *c) {
  if (c->kind == KIND_PROCESS) unwatch_close(&c->process.master);
  chan_send(c, F_CLOSED, NULL, 0);
  chan_retire(c);
  chan_free(c);
  closed++;
}
void process_settle(struct chan *c) {
  if (c->out < 0 && c->err < 0) drop(c);
  else flow_wake(c);
}
void process_signal(struct chan *c, int signal) { c->process.exit[0] = (u8)signal; }
void process_resize(struct chan *c, u16 cols, u16 rows, u16 x, u16 y) { c->process.exit[1] = (u8)(cols + rows + x + y); }
void session_end(struct chan *c, u8 mode) {
  if (mode > CLOSE_TREE) die("mode");
  drop(c);
}
void socket_settle(struct chan *c) {
  if (c->in < 0 && c->out < 0) drop(c);
}
void socket_broken(struct chan *c) { drop(c); }
void socket_close(struct chan *c) { drop(c); }
void listener_close(struct chan *c) { drop(c); }
bool listener_gave(u32 id) { return id == 0x80000001; }
static void use_name(u32 id, const char *name, enum kind kind) {
  struct address a;
  char text[ADDRESS_TEXT];
  struct chan *c = chan_new(id, kind);
  if (address_parse(&a, name)) address_format(&a, text);
  if (!c) return send_fail(id, EAGAIN, STAGE_RESOURCES);
  if (kind == KIND_SOCKET) c->in = sys_open("/dev/null", O_WRONLY, 0), c->out = sys_open("/dev/zero", O_RDONLY, 0);
  c->in_ready = c->out_ready = true;
  chan_opened(c, 0);
}
void socket_connect(u32 id, u32 credit, u8 kind, u16 port, const char *name) {
  use_name(id, name, KIND_SOCKET);
  if (chan_find(id)) chan_find(id)->credit = credit + kind + port;
}
void listener_open(u32 id, u8 kind, u16 port, const char *name, u32 mode, u8 flags) {
  if (kind > KIND_UNIX || mode > 0777 || flags > 3) die("LISTEN");
  use_name(id, name, port % 2 ? KIND_LISTENER : KIND_SOCKET);
}
void switch_begin(const u8 token[16], const char *path) { refused += token[0] == path[0]; }
int sftp_serve(int in, int out, const char *start) { return in + out + start[0]; }

/* ---- frames ---- */

static u8 *add(u8 *p, const void *bytes, u32 n) {
  memcpy(p, bytes, n);
  return p + n;
}
static u8 *add_u32(u8 *p, u32 v) {
  put_u32(p, v);
  return p + 4;
}
static u8 *add_text(u8 *p) {
  static const char *const words[] = {"", "a", "PATH=/bin", "HOME", "127.0.0.1", "::1", "/tmp/x", "fe80::1:2:3.4.5.6", "-"};
  const char *word = words[chance(9)];
  p = add_u32(p, (u32)strlen(word));
  return add(p, word, (u32)strlen(word));
}
static u8 *add_list(u8 *p) {
  u32 n = chance(5);
  p = add_u32(p, n);
  for (; n; n--) p = add_text(p);
  return p;
}
static u32 payload(u8 type, u8 *at) {
  u8 *p = at;
  switch (type) {
  case F_SPAWN:
    p = add_u32(p, chance(4));
    p = add_u32(p, chance(100000));
    p = add(p, "\0\1\0\2\0\3\0\4", 8);
    p = add_text(add_text(p));
    p = add_list(add_list(p));
    return (u32)(add_text(add_text(p)) - at);
  case F_CONNECT: p = add_u32(p, chance(1 << 20)); /* fall through */
  case F_LISTEN:
    *p++ = (u8)chance(2);
    *p++ = (u8)chance(256), *p++ = (u8)chance(256);
    p = add_text(p);
    if (type == F_LISTEN) p = add_u32(p, chance(0777)), *p++ = (u8)chance(2);
    return (u32)(p - at);
  case F_SFTP: {
    u32 flags = chance(4);
    p = add_u32(add_u32(p, flags), 1000);
    return (u32)(add_text(flags & SFTP_OWN_LINE ? add(p, "0123456789abcdef", 16) : p) - at);
  }
  case F_SWITCH: return (u32)(add_text(p + 16) - at);
  case F_PING:
  case F_RESIZE: return 8;
  case F_WINDOW: return (u32)(add_u32(p, chance(1 << 20)) - at);
  case F_SIGNAL: *p = (u8)(1 + chance(64)); return 1;
  case F_CLOSE: *p = (u8)chance(3); return 1;
  case F_DATA: return chance(4) ? chance(300) : chance(FRAME_MAX);
  case F_PART: return chance(8) ? chance(50) : chance(FRAME_MAX);
  default: return 0;
  }
}

static u32 make_frame(u8 *at) {
  static const u8 types[] = {F_PING, F_SHUTDOWN, F_SWITCH, F_PART,   F_SPAWN,  F_SPAWN, F_CONNECT, F_LISTEN, F_SFTP,
                             F_DATA, F_DATA,     F_DATA,   F_WINDOW, F_RESIZE, F_EOF,   F_SIGNAL,  F_CLOSE,  F_INIT};
  u8 type = types[chance(sizeof types)];
  u32 id = type <= F_SWITCH ? 0 : chance(50) ? 1 + chance(40) : 0x80000000 + chance(3);
  u32 n = payload(type, at + FRAME_HEADER);
  if (!chance(4)) { /* mutate */
    for (u32 i = chance(6); i && n; i--) at[FRAME_HEADER + chance(n < 300 ? n : 300)] = (u8)chance(chance(2) ? 256 : 4);
    if (!chance(3)) n = chance(n + 5);
    if (!chance(5)) type = (u8)chance(40);
    if (!chance(5)) id = chance(3) ? chance(50) : (u32)chance(UINT32_MAX);
  }
  put_u32(at, n << 8 | type);
  put_u32(at + 4, id);
  return FRAME_HEADER + n;
}

static void work(void) {
  struct frame f;
  while (line_next(&guest.exec, &f) > 0) frame_handle(&guest.exec, &f);
  for (u32 i = 0; i < chans_used() && i < 64; i++) {
    struct chan *c = chan_at(i);
    if (c->kind != KIND_PROCESS && c->kind != KIND_SOCKET) continue;
    if (!chance(3)) c->in_ready = true, flow_write(c);
    if (c->open && !chance(3)) c->out_ready = c->out >= 0, flow_wake(c);
  }
  flow_turns();
  ring_drop(&guest.exec.output, chance(guest.exec.output.used + 1));
  if (ring_room(&guest.exec.output) < OUTPUT_EVENTS + OUTPUT_REPLIES) ring_drop(&guest.exec.output, guest.exec.output.used);
  if (guest.exec.failed) die("a control frame found no room");
}

static void fuzz_frames(u32 count) {
  static u8 frame[FRAME_HEADER + FRAME_MAX + 1024];
  u8 init[FRAME_HEADER + 18] = {0, 0, 18, F_INIT, 0, 0, 0, 0, 0, 1, 0, 0, 255, 255, 0, 0, 1, 0, 0, 0, 0, 30};
  struct line *l = &guest.exec;
  if (!line_open(l, -1, 1) || !request_init()) die("no memory");
  guest.line = l;
  memcpy(l->input, init, sizeof init);
  l->end = sizeof init;
  work();
  if (!guest.initialised) die("INIT");
  for (u32 i = 0; i < count; i++) {
    u32 n = make_frame(frame), at = 0;
    guest.draining = false;
    if (!chance(20) && chan_find(1 + i % 40)) drop(chan_find(1 + i % 40)); /* or every id is taken soon */
    while (at < n) { /* in pieces, some of them in the middle of a header */
      if (l->start == l->end) l->start = l->end = 0;
      if (INPUT_SIZE - l->end < n) {
        memmove(l->input, l->input + l->start, l->end - l->start);
        l->end -= l->start, l->start = 0;
      }
      u32 piece = chance(3) ? n - at : 1 + chance(n - at);
      memcpy(l->input + l->end, frame + at, piece);
      l->end += piece, at += piece;
      work();
    }
    if (line_has_frame(l) && line_next(l, &(struct frame){0}) < 0) l->start = l->end = 0; /* too long: real life ends here */
    if (l->end - l->start > FRAME_MAX + FRAME_HEADER) l->start = l->end = 0;
  }
}

/* ---- the rest ---- */

static void fuzz_dns(u32 count) {
  u8 query[DNS_QUERY_MAX], packet[600];
  static const char *const names[] = {"a.test", "example.com.", "x", "a-very-long-label-in-front.of.some.other.labels.test"};
  for (u32 i = 0; i < count; i++) {
    struct address_list found = {0};
    u16 type = chance(2) ? DNS_A : DNS_AAAA;
    u32 n = dns_query(query, (u16)chance(65536), type, names[chance(4)]);
    memcpy(packet, query, n);
    packet[2] |= 0x80;
    packet[7] = (u8)chance(20);
    u32 end = n;
    for (u32 r = chance(6); r && end < 500; r--) {
      u8 size = type == DNS_A ? 4 : 16;
      u8 record[] = {0xc0, 12, 0, (u8)type, 0, 1, 0, 0, 0, 9, 0, size};
      memcpy(packet + end, record, sizeof record);
      end += sizeof record;
      for (u8 b = 0; b < size; b++) packet[end++] = (u8)chance(256);
    }
    for (u32 m = chance(5); m; m--) packet[chance(end)] = (u8)chance(256);
    u8 *exact = sys_reserve(end + 1); /* its end is no page's end, but ASan's own copy below is */
    u8 copy[600];
    memcpy(copy, packet, end);
    memcpy(exact, packet, end);
    dns_parse((struct bytes){copy + 600 - end, end}, (struct bytes){query, n}, &found);
    dns_parse((struct bytes){exact, chance(end + 1)}, (struct bytes){query, n}, &found);
    if (found.n > ADDRESSES_MAX) die("too many addresses");
    sys_munmap(exact, end + 1);
  }
}

static void fuzz_text(u32 count) {
  static const char alphabet[] = "0123456789abcdef:.::.. \t#;nameserver";
  const char *path = "/tmp/hatchway-fuzz-text";
  for (u32 i = 0; i < count; i++) {
    char s[64], formatted[ADDRESS_TEXT];
    u32 n = chance(sizeof s);
    struct address a, b;
    for (u32 j = 0; j < n; j++) s[j] = alphabet[chance(24)];
    s[n ? n - 1 : 0] = 0;
    if (!address_parse(&a, s)) continue;
    address_format(&a, formatted);
    if (!address_parse(&b, formatted) || memcmp(&a, &b, sizeof a)) die(formatted);
  }
  for (u32 i = 0; i < count / 500; i++) {
    char content[6000];
    u32 n = chance(sizeof content);
    for (u32 j = 0; j < n; j++) content[j] = chance(60) ? alphabet[chance(sizeof alphabet)] : '\n';
    int fd = sys_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    sys_write(fd, content, n);
    sys_close(fd);
    struct textfile f;
    if (!textfile_open(&f, path)) die("text file");
    for (char *line; (line = textfile_line(&f));)
      while (next_word(&line)) {}
  }
  sys_unlinkat(AT_FDCWD, path, 0);
}

static void fuzz_modes(u32 count) {
  struct pty pty;
  u8 modes[200];
  if (pty_open(&pty)) die("pty");
  for (u32 i = 0; i < count; i++) {
    u32 n = chance(sizeof modes);
    for (u32 j = 0; j < n; j++) modes[j] = (u8)chance(j % 5 ? 3 : 170);
    modes_apply(pty.slave, (struct bytes){modes + sizeof modes - n, n});
  }
  sys_close(pty.slave);
  sys_close(pty.master);
}

int main(int argc, char **argv) {
  u32 frames = 100000, seed = 1;
  const char *s;
  if (argc > 1) s = argv[1], str_u32(&s, &frames);
  if (argc > 2) s = argv[2], str_u32(&s, &seed);
  state = seed * 0x9e3779b97f4a7c15u + 1;
  fuzz_frames(frames);
  fuzz_dns(frames / 5);
  fuzz_text(frames);
  fuzz_modes(frames / 50);
  char line[200];
  struct text t = text_in(line, sizeof line);
  text_add(&t, "refused "), text_number(&t, refused);
  text_add(&t, " spawned "), text_number(&t, spawned);
  text_add(&t, " closed "), text_number(&t, closed);
  text_add(&t, "\n");
  sys_write(1, t.at, t.length);
  return 0;
}
