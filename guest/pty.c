#include "pty.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41) /* Linux 4.13 */
#endif

static int open_slave(struct pty *p) {
  /* By the master, where the kernel can: a name could be another mount's by now. */
  int fd = sys_ioctl(p->master, TIOCGPTPEER, (void *)(long)(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (fd >= 0) return fd;
  char path[32];
  struct text t = text_in(path, sizeof path);
  text_add(&t, "/dev/pts/");
  text_number(&t, p->number);
  return sys_open(path, O_RDWR | O_NOCTTY | O_CLOEXEC, 0);
}

/* devpts made the node for our uid, with the group and mode of its mount (gid=5,mode=620 in containers). As sshpty.c
 * has it: write(1) may reach the terminal through group tty, and nobody where there is no such group. */
static void own_slave(int slave) {
  struct stat st;
  if (sys_fstat(slave, &st) < 0) return;
  int mode = st.st_gid != sys_getegid() ? 0620 : 0600;
  if ((st.st_mode & 07777) != (u32)mode) sys_fchmod(slave, mode);
}

int pty_open(struct pty *p) {
  int unlocked = 0, error;
  p->master = sys_open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK, 0);
  if (p->master < 0) p->master = sys_open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK, 0);
  if (p->master < 0) return -p->master;
  if ((error = sys_ioctl(p->master, TIOCSPTLCK, &unlocked)) == 0 &&
      (error = sys_ioctl(p->master, TIOCGPTN, &p->number)) == 0) {
    p->slave = open_slave(p);
    if (p->slave >= 0) {
      own_slave(p->slave);
      return 0;
    }
    error = p->slave;
  }
  sys_close(p->master);
  return -error;
}

void pty_size(int fd, u16 cols, u16 rows, u16 xpixel, u16 ypixel) {
  struct winsize size = {.ws_row = rows, .ws_col = cols, .ws_xpixel = xpixel, .ws_ypixel = ypixel};
  sys_ioctl(fd, TIOCSWINSZ, &size);
}

int pty_foreground(int master) {
  int group = 0;
  return sys_ioctl(master, TIOCGPGRP, &group) == 0 && group > 1 ? group : 0;
}
