/* An absolute path without ".", ".." and links; the last component may be missing (sftp-realpath.c). */
#ifndef SFTP_REALPATH_H
#define SFTP_REALPATH_H

enum { PATH_SIZE = 4096 };

/* 0 or a negative errno. */
int real_path(const char *path, char real[PATH_SIZE]);

#endif
