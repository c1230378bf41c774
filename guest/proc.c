#include "proc.h"

struct entry { /* getdents(2): struct linux_dirent64 */
  u64 inode, offset;
  u16 size;
  u8 type;
  char name[];
};

static int open_proc(int pid, const char *file) {
  char path[48];
  struct text t = text_in(path, sizeof path);
  text_add(&t, "/proc/");
  text_number(&t, (u64)pid);
  text_add(&t, file);
  return sys_open(path, O_RDONLY | O_CLOEXEC, 0);
}

static bool read_proc(int pid, const char *file, char *to, size_t size) {
  int fd = open_proc(pid, file);
  if (fd < 0) return false;
  long n = sys_read(fd, to, size - 1);
  sys_close(fd);
  if (n <= 0) return false;
  to[n] = 0;
  return true;
}

static int number_after_space(const char **s) {
  u32 v = 0;
  if (**s == ' ') (*s)++;
  str_u32(s, &v);
  return (int)v;
}

bool proc_stat(int pid, struct proc_stat *st) {
  char line[512];
  if (!read_proc(pid, "/stat", line, sizeof line)) return false;
  /* "pid (comm) state ppid pgrp session ...": the name is at most 15 bytes, any of them, also ") R 1". */
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

bool proc_ignores(int pid, int signal) {
  char status[2048];
  if (!read_proc(pid, "/status", status, sizeof status)) return false;
  for (const char *s = status; s; s = str_find(s, '\n')) {
    if (*s == '\n') s++;
    if (!str_starts(s, "SigIgn:")) continue;
    u64 mask = 0;
    for (s += 7; *s && *s != '\n'; s++) {
      if (*s >= '0' && *s <= '9') mask = mask << 4 | (u64)(*s - '0');
      if (*s >= 'a' && *s <= 'f') mask = mask << 4 | (u64)(*s - 'a' + 10);
    }
    return mask & sigbit(signal);
  }
  return false;
}

bool proc_fd_stat(int pid, int fd, struct stat *st) {
  char path[48];
  struct text t = text_in(path, sizeof path);
  text_add(&t, "/proc/");
  text_number(&t, (u64)pid);
  text_add(&t, "/fd/");
  text_number(&t, (u64)fd);
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
