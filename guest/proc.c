#include "proc.h"
#include "textfile.h"

struct entry { /* getdents(2): struct linux_dirent64 */
  u64 inode, offset;
  u16 size;
  u8 type;
  char name[];
};

enum { PROC_PATH_SIZE = 48 };
static void proc_path(char path[PROC_PATH_SIZE], int pid, const char *file) {
  struct text t = text_in(path, PROC_PATH_SIZE);
  text_add(&t, "/proc/");
  text_number(&t, (u64)pid);
  text_add(&t, file);
}

int proc_open(int pid, const char *file) {
  char path[PROC_PATH_SIZE];
  proc_path(path, pid, file);
  return sys_open(path, O_RDONLY | O_CLOEXEC, 0);
}

static int number_after_space(const char **s) {
  u32 v = 0;
  if (**s == ' ') (*s)++;
  str_u32(s, &v);
  return (int)v;
}

bool proc_stat(int pid, struct proc_stat *st) {
  char line[512];
  int fd = proc_open(pid, "/stat");
  if (fd < 0) return false;
  long n = sys_read(fd, line, sizeof line - 1);
  sys_close(fd);
  if (n <= 0) return false;
  line[n] = 0;
  /* "pid (comm) state ppid pgrp session ...": the name is at most 15 bytes (a kernel thread's 63), any of them, also
   * ") R 1". What is looked for comes before byte 128, however long the rest is. */
  const char *s = NULL;
  for (const char *p = line; *p; p++)
    if (*p == ')') s = p;
  if (!s || s[1] != ' ' || !s[2]) return false;
  st->state = s[2];
  s += 3;
  st->parent = number_after_space(&s);
  number_after_space(&s);
  st->session = number_after_space(&s);
  return true;
}

bool proc_in_session(int pid, int sid) {
  struct proc_stat st;
  return proc_stat(pid, &st) && st.session == sid;
}

/* A line of its status, behind `name`. By lines: that of its groups has any length (NGROUPS_MAX is 65536). */
static bool status_field(int pid, const char *name, char *to, size_t size) {
  char path[PROC_PATH_SIZE];
  struct textfile status;
  bool found = false;
  proc_path(path, pid, "/status");
  if (!textfile_open(&status, path)) return false;
  for (char *line; (line = textfile_line(&status));) {
    if (found || !str_starts(line, name)) continue;
    struct text t = text_in(to, size);
    text_add(&t, line + strlen(name));
    found = true;
  }
  return found;
}

bool proc_ignores(int pid, int signal) {
  char digits[24];
  u64 mask = 0;
  if (!status_field(pid, "SigIgn:", digits, sizeof digits)) return false;
  for (const char *s = digits; *s; s++) {
    if (*s >= '0' && *s <= '9') mask = mask << 4 | (u64)(*s - '0');
    if (*s >= 'a' && *s <= 'f') mask = mask << 4 | (u64)(*s - 'a' + 10);
  }
  return mask & sigbit(signal);
}

bool proc_is_users(int pid, u32 uid) {
  char ids[64];
  const char *s = ids;
  u32 real;
  if (!status_field(pid, "Uid:", ids, sizeof ids)) return false;
  while (is_space(*s)) s++;
  return str_u32(&s, &real) && real == uid;
}

bool proc_has_root(int pid, const struct stat *root) {
  char path[PROC_PATH_SIZE];
  struct stat st;
  proc_path(path, pid, "/root");
  return sys_fstatat(AT_FDCWD, path, &st, 0) == 0 && st.st_dev == root->st_dev && st.st_ino == root->st_ino;
}

bool proc_fd_stat(int pid, int fd, struct stat *st) {
  char path[PROC_PATH_SIZE], file[24];
  struct text t = text_in(file, sizeof file);
  text_add(&t, "/fd/");
  text_number(&t, (u64)fd);
  proc_path(path, pid, file);
  int error = sys_fstatat(AT_FDCWD, path, st, 0);
  if (error == -ENOENT) memset(st, 0, sizeof *st); /* closed: it is nobody's */
  return error == 0 || error == -ENOENT;
}

bool proc_walk_open(struct proc_walk *w, const char *directory) {
  w->fd = sys_open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  w->at = w->filled = 0;
  return w->fd >= 0;
}

int proc_walk_next(struct proc_walk *w) {
  for (;;) {
    if (w->at >= w->filled) {
      w->filled = sys_getdents(w->fd, w->entries, sizeof w->entries);
      w->at = 0;
      if (w->filled <= 0) {
        sys_close(w->fd);
        return -1;
      }
    }
    struct entry *e = (struct entry *)(w->entries + w->at);
    const char *s = e->name;
    u32 number;
    w->at += e->size;
    if (str_u32(&s, &number) && !*s && number <= INT32_MAX) return (int)number;
  }
}

bool proc_signal(int pid, int signal, bool (*belongs)(int pid, int key), int key) {
  int fd = sys_pidfd_open(pid);
  bool sent = false;
  if (belongs(pid, key)) {
    int error = fd < 0 ? fd : sys_pidfd_send_signal(fd, signal);
    if (fd < 0 || error == -ENOSYS) error = sys_kill(pid, signal);
    sent = error == 0;
  }
  if (fd >= 0) sys_close(fd);
  return sent;
}

void close_from(int first) {
  if (sys_close_range((u32)first, ~0u, 0) == 0) return;
  /* Before Linux 5.9. */
  struct proc_walk walk;
  if (!proc_walk_open(&walk, "/proc/self/fd")) return;
  for (int fd; (fd = proc_walk_next(&walk)) >= 0;)
    if (fd >= first && fd != walk.fd) sys_close(fd);
}
