/* Pseudo-terminals: pty(7), ioctl_tty(2). */
#ifndef PTY_H
#define PTY_H

#include "wire.h"

struct pty {
  int master, slave;
  u32 number; /* of /dev/pts */
};
int pty_open(struct pty *p); /* 0 or an errno */
void pty_size(int fd, u16 cols, u16 rows, u16 xpixel, u16 ypixel);
int pty_foreground(int master); /* its process group; 0: none */

/* RFC 4254 section 8. What this kernel has no name for is skipped. */
void modes_apply(int slave, struct bytes modes);

#endif
