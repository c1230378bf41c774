/* linux/stat.h has these only where no libc's headers are in, which is not so for a hosted build. */
#ifndef SFTP_MODES_H
#define SFTP_MODES_H

#include "sys.h"

#ifndef S_IFMT
enum {
  S_IFMT = 0170000,
  S_IFSOCK = 0140000,
  S_IFLNK = 0120000,
  S_IFREG = 0100000,
  S_IFBLK = 0060000,
  S_IFDIR = 0040000,
  S_IFCHR = 0020000,
  S_IFIFO = 0010000,
  S_ISUID = 04000,
  S_ISGID = 02000,
  S_ISVTX = 01000,
  S_IRWXU = 0700,
  S_IWUSR = 0200,
  S_IXUSR = 0100,
  S_IXGRP = 0010,
  S_IXOTH = 0001,
};
#define S_ISREG(mode) (((mode) & S_IFMT) == S_IFREG)
#define S_ISDIR(mode) (((mode) & S_IFMT) == S_IFDIR)
#define S_ISLNK(mode) (((mode) & S_IFMT) == S_IFLNK)
#endif

#endif
