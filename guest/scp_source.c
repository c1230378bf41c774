/* Sends what it was asked for: C for a file, D ... E around a directory, T before either for its times. */
#include "scp_run.h"

enum { ENTRIES_SIZE = 1024 }; /* on the stack at every level; a path has at most 2048 of them */
struct entry {
  u64 inode, next;
  u16 length;
  u8 type;
  char name[];
};

static const char *last_of(const char *path) {
  const char *last = path;
  for (; *path; path++)
    if (*path == '/' && path[1]) last = path + 1;
  return last;
}
/* Vis(3)'s "\^J" for a newline, as scp.c: the record's end must not be in the name. */
static void add_name(struct text *t, const char *name) {
  for (; *name; name++) {
    if (*name == '\n')
      text_add(t, "\\^J");
    else
      text_bytes(t, name, 1);
  }
}
static void add_octal(struct text *t, u32 mode) {
  char digits[4];
  for (u32 i = 0; i < 4; i++) digits[i] = (char)('0' + (mode >> (9 - 3 * i) & 7));
  text_bytes(t, digits, sizeof digits);
}

static bool send_times(const struct stat *st) {
  if (!scp.keep_times) return true;
  long changed = (long)st->st_mtime, read = (long)st->st_atime; /* before 1970 the protocol has no word for it */
  struct text t = text_in(scp.line, sizeof scp.line);
  text_add(&t, "T");
  text_number(&t, changed > 0 ? (u64)changed : 0);
  text_add(&t, " 0 ");
  text_number(&t, read > 0 ? (u64)read : 0);
  text_add(&t, " 0\n");
  scp_send(t.at, t.length);
  return scp_answered();
}
static bool send_record(const char *kind, const struct stat *st, u64 size) {
  if (!send_times(st)) return false;
  struct text t = text_in(scp.line, sizeof scp.line);
  text_add(&t, kind);
  add_octal(&t, st->st_mode & SCP_BITS);
  text_add(&t, " ");
  text_number(&t, size);
  text_add(&t, " ");
  add_name(&t, last_of(scp.path));
  text_add(&t, "\n");
  scp_send(t.at, t.length);
  return scp_answered();
}

/* As many bytes as were announced, whatever becomes of the file meanwhile: the peer counts them. What cannot be read is
 * sent as zeros, and the complaint behind them makes the peer call the copy a failure. */
static void send_bytes(int fd, u64 left) {
  long error = 0;
  while (left) {
    size_t n = left < sizeof scp.block ? (size_t)left : sizeof scp.block;
    size_t have = 0;
    while (!error && have < n) {
      long r = sys_read(fd, scp.block + have, n - have);
      if (r == -EINTR) continue;
      if (r > 0)
        have += (size_t)r;
      else
        error = r ? r : -EIO; /* it has become shorter */
    }
    memset(scp.block + have, 0, n - have);
    scp_send(scp.block, n);
    left -= n;
  }
  if (error)
    scp_complain_errno(scp.path, error);
  else
    scp_ok();
  scp_answered();
}

static void send_path(void);

static void send_entries(int fd) {
  u8 entries[ENTRIES_SIZE] __attribute__((aligned(8)));
  for (long n; (n = sys_getdents(fd, entries, sizeof entries)) != 0;) {
    if (n < 0) return scp_complain_errno(scp.path, n);
    for (long at = 0; at < n;) {
      const struct entry *e = (struct entry *)(entries + at);
      at += e->length;
      if (str_equal(e->name, ".") || str_equal(e->name, "..")) continue;
      size_t before = scp.length;
      if (!scp_enter(e->name)) {
        scp_complain(e->name, "name too long");
        continue;
      }
      send_path();
      scp_leave(before);
    }
  }
}
static void send_directory(int fd, const struct stat *st) {
  if (!send_record("D", st, 0)) return;
  send_entries(fd);
  scp_send("E\n", 2);
  scp_answered();
}

static void send_path(void) {
  /* O_NONBLOCK, for a FIFO would wait for its writer. It means nothing to the files that are then read. */
  int fd = sys_open(scp.path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
  if (fd < 0) return scp_complain_errno(scp.path, fd);
  struct stat st;
  int r = sys_fstat(fd, &st);
  if (r)
    scp_complain_errno(scp.path, r);
  else if (S_ISDIR(st.st_mode) && scp.recursive)
    send_directory(fd, &st);
  else if (!S_ISREG(st.st_mode))
    scp_complain(scp.path, "not a regular file");
  else if (send_record("C", &st, (u64)st.st_size))
    send_bytes(fd, (u64)st.st_size);
  sys_close(fd);
}

void scp_source(char *const *paths, int n) {
  scp_answered(); /* the sink is ready */
  for (; n--; paths++) {
    if (!scp_start(*paths)) continue;
    while (scp.length > 1 && scp.path[scp.length - 1] == '/') scp_leave(scp.length - 1);
    send_path();
  }
}
