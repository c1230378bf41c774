/* What /proc says of other processes. */
#ifndef PROC_H
#define PROC_H

#include "str.h"

struct proc_stat { /* proc_pid_stat(5) */
  char state;
  int parent, session;
};
int proc_open(int pid, const char *file); /* "/stat" and such */
bool proc_stat(int pid, struct proc_stat *st);
bool proc_in_session(int pid, int sid);
bool proc_ignores(int pid, int signal);
bool proc_is_users(int pid, u32 uid); /* its real user */
bool proc_has_root(int pid, const struct stat *root);
bool proc_fd_stat(int pid, int fd, struct stat *st); /* what it has open there; zeros where nothing is */

/* The entries of a directory that are numbers: the pids of /proc, the descriptors of /proc/self/fd. */
struct proc_walk {
  int fd;
  long at, filled;
  u8 entries[2048] __attribute__((aligned(8)));
};
bool proc_walk_open(struct proc_walk *w, const char *directory);
int proc_walk_next(struct proc_walk *w); /* -1: no more; closes by itself */

/* Signals the process that `belongs` says yes to *while the pid is pinned*, so that it cannot be another by then. Where
 * there is no pidfd (before Linux 5.3, or seccomp) a few microseconds remain in which it could. */
bool proc_signal(int pid, int signal, bool (*belongs)(int pid, int key), int key);

void close_from(int first); /* every descriptor from there on */

#endif
