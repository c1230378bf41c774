/* Receives. Every byte of a record is the peer's: names with a slash, "." and ".." are refused, so that nothing is
 * written outside the directory that was named. */
#include "scp_run.h"

struct times {
  bool given;
  struct timespec at[2]; /* of reading, of change */
};
struct record {
  bool directory;
  u32 mode;
  u64 size;
  const char *name;
};

static u64 take_number(const char **s, char end, const char *complaint) {
  u64 value = 0;
  const char *p = *s;
  for (; *p >= '0' && *p <= '9'; p++) {
    if (value > (UINT64_MAX >> 1) / 10 - 1) scp_give_up(complaint);
    value = value * 10 + (u64)(*p - '0');
  }
  if (p == *s || *p != end) scp_give_up(complaint);
  *s = end ? p + 1 : p;
  return value;
}

static void read_times(const char *s, struct times *t) {
  t->at[1].tv_sec = (long)take_number(&s, ' ', "mtime.sec not delimited");
  t->at[1].tv_nsec = (long)take_number(&s, ' ', "mtime.usec not delimited") % 1000000 * 1000;
  t->at[0].tv_sec = (long)take_number(&s, ' ', "atime.sec not delimited");
  t->at[0].tv_nsec = (long)take_number(&s, 0, "atime.usec not delimited") % 1000000 * 1000;
  t->given = true;
}

static struct record read_record(const char *s) {
  struct record r = {.directory = *s++ == 'D'};
  for (u32 i = 0; i < 4; i++, s++) {
    if (*s < '0' || *s > '7') scp_give_up("bad mode");
    r.mode = r.mode << 3 | (u32)(*s - '0');
  }
  if (*s++ != ' ') scp_give_up("mode not delimited");
  r.size = take_number(&s, ' ', "size not delimited");
  r.name = s;
  if (!*s || str_find(s, '/') || str_equal(s, ".") || str_equal(s, "..")) {
    scp_complain("error: unexpected filename", s);
    sys_exit(1);
  }
  return r;
}

static void take_records(bool into_directory);

static void take_directory(const struct record *r, const struct times *t) {
  struct stat st;
  bool set_mode = scp.keep_times;
  if (!sys_fstatat(AT_FDCWD, scp.path, &st, 0)) {
    if (!S_ISDIR(st.st_mode)) return scp_complain_errno(scp.path, -ENOTDIR);
    if (set_mode) sys_fchmodat(AT_FDCWD, scp.path, (int)r->mode);
  } else {
    set_mode = true; /* it has to be writable until it is full */
    int made = sys_mkdirat(AT_FDCWD, scp.path, (int)(r->mode | S_IRWXU));
    if (made) return scp_complain_errno(scp.path, made);
  }
  take_records(true);
  if (t->given) sys_utimensat(AT_FDCWD, scp.path, t->at, 0);
  if (set_mode) sys_fchmodat(AT_FDCWD, scp.path, (int)r->mode);
}

/* The bytes are taken even when they cannot be written, or what follows them would be taken for records. */
static long take_bytes(int fd, u64 left) {
  long error = 0;
  while (left) {
    size_t n = left < sizeof scp.block ? (size_t)left : sizeof scp.block;
    scp_receive(scp.block, n);
    left -= n;
    for (size_t done = 0; !error && done < n;) {
      long r = sys_write(fd, scp.block + done, n - done);
      if (r == -EINTR) continue;
      if (r <= 0)
        error = r ? r : -EIO;
      else
        done += (size_t)r;
    }
  }
  return error;
}

/* A file has one answer: its first failure, or 0. */
static void tell_failure(bool *already, long result) {
  if (result >= 0 || *already) return;
  scp_complain_errno(scp.path, result);
  *already = true;
}
static void take_file(const struct record *r, const struct times *t) {
  struct stat st;
  bool existed = !sys_fstatat(AT_FDCWD, scp.path, &st, 0);
  int fd = sys_open(scp.path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, (int)(r->mode | S_IWUSR));
  if (fd < 0) return scp_complain_errno(scp.path, fd); /* and the peer sends no bytes */
  scp_ok();
  bool failed = false;
  long written = take_bytes(fd, r->size);
  tell_failure(&failed, written);
  if (!written && (!existed || S_ISREG(st.st_mode))) tell_failure(&failed, sys_ftruncate(fd, r->size));
  if (existed || !(r->mode & S_IWUSR)) tell_failure(&failed, sys_fchmod(fd, (int)r->mode));
  int closed = sys_close(fd);
  if (closed != -EINTR) tell_failure(&failed, closed);
  scp_answered(); /* whether the peer could read its file to the end; it tells its user itself if not */
  if (t->given && !written) tell_failure(&failed, sys_utimensat(AT_FDCWD, scp.path, t->at, 0));
  if (!failed) scp_ok();
}

static void take_records(bool into_directory) {
  struct times times = {0};
  scp_ok();
  for (bool first = true;; first = false) {
    const char *s = scp_record();
    if (!s) return;
    if (*s == 'E') return scp_ok();
    if (*s == 'T') {
      read_times(s + 1, &times);
      scp_ok();
      continue;
    }
    if (*s != 'C' && *s != 'D') {
      if (!first) scp_give_up("expected control record");
      scp_complain(s, ""); /* a shell's message, perhaps */
      sys_exit(1);
    }
    struct record r = read_record(s);
    if (!scp.keep_times) r.mode &= ~scp.umask;
    if (r.directory && !scp.recursive) scp_give_up("received directory without -r");
    size_t before = scp.length;
    if (into_directory && !scp_enter(r.name)) {
      scp_complain_errno(r.name, -ENAMETOOLONG);
    } else if (r.directory) {
      take_directory(&r, &times);
    } else {
      take_file(&r, &times);
    }
    scp_leave(before);
    times.given = false;
  }
}

void scp_sink(void) {
  struct stat st;
  int r = sys_fstatat(AT_FDCWD, scp.path, &st, 0);
  bool directory = !r && S_ISDIR(st.st_mode);
  if (scp.want_directory && !directory) {
    scp_complain_errno(scp.path, r ? r : -ENOTDIR);
    sys_exit(1);
  }
  take_records(directory);
}
