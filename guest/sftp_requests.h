/* What answers each request. A handler reads its fields first and does nothing when they were malformed (c->bad): the
 * dispatcher then ends the conversation. */
#ifndef SFTP_REQUESTS_H
#define SFTP_REQUESTS_H

#include "sftp.h"
#include "sftp_handles.h"
#include "sftp_io.h"
#include "sftp_modes.h"

struct attributes {
  u32 flags;
  u64 size;
  u32 uid, gid, permissions, atime, mtime;
};
enum { ATTR_SIZE = 1, ATTR_UIDGID = 2, ATTR_PERMISSIONS = 4, ATTR_ACMODTIME = 8, ATTR_EXTENDED = 1u << 31 };
void take_attributes(struct cursor *c, struct attributes *a);
void reply_attributes(const struct stat *st);
void reply_one_name(u32 id, const char *name); /* NAME of one, without attributes */
void reply_handle(u32 id, enum handle_kind kind, int fd, bool append);

/* sftp_files.c */
void do_open(u32 id, struct cursor *c);
void do_close(u32 id, struct cursor *c);
void do_read(u32 id, struct cursor *c);
void do_write(u32 id, struct cursor *c);
void do_fsync(u32 id, struct cursor *c);
void do_copy_data(u32 id, struct cursor *c);

/* sftp_attributes.c */
void do_stat(u32 id, struct cursor *c);
void do_lstat(u32 id, struct cursor *c);
void do_fstat(u32 id, struct cursor *c);
void do_setstat(u32 id, struct cursor *c);
void do_fsetstat(u32 id, struct cursor *c);
void do_lsetstat(u32 id, struct cursor *c);
void do_statvfs(u32 id, struct cursor *c);
void do_fstatvfs(u32 id, struct cursor *c);

/* sftp_paths.c */
void do_remove(u32 id, struct cursor *c);
void do_mkdir(u32 id, struct cursor *c);
void do_rmdir(u32 id, struct cursor *c);
void do_rename(u32 id, struct cursor *c);
void do_posix_rename(u32 id, struct cursor *c);
void do_hardlink(u32 id, struct cursor *c);
void do_symlink(u32 id, struct cursor *c);
void do_readlink(u32 id, struct cursor *c);
void do_realpath(u32 id, struct cursor *c);
void do_expand_path(u32 id, struct cursor *c);

/* sftp_list.c */
void do_opendir(u32 id, struct cursor *c);
void do_readdir(u32 id, struct cursor *c);

/* sftp_people.c */
void do_home_directory(u32 id, struct cursor *c);
void do_users_groups(u32 id, struct cursor *c);

#endif
