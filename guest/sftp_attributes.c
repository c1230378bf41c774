/* Attributes: read, set, and those of a filesystem. */
#include "sftp_requests.h"

#include <asm/statfs.h>

void take_attributes(struct cursor *c, struct attributes *a) {
  *a = (struct attributes){.flags = take_u32(c)};
  if (a->flags & ATTR_SIZE) a->size = take_u64(c);
  if (a->flags & ATTR_UIDGID) a->uid = take_u32(c), a->gid = take_u32(c);
  if (a->flags & ATTR_PERMISSIONS) a->permissions = take_u32(c);
  if (a->flags & ATTR_ACMODTIME) a->atime = take_u32(c), a->mtime = take_u32(c);
  if (!(a->flags & ATTR_EXTENDED)) return;
  /* Nobody's extensions are known here; their strings are stepped over. */
  for (u32 n = take_u32(c); n && !c->bad; n--) take_string(c), take_string(c);
}

void reply_attributes(const struct stat *st) {
  reply_u32(ATTR_SIZE | ATTR_UIDGID | ATTR_PERMISSIONS | ATTR_ACMODTIME);
  reply_u64((u64)st->st_size);
  reply_u32(st->st_uid);
  reply_u32(st->st_gid);
  reply_u32(st->st_mode);
  reply_u32((u32)st->st_atime);
  reply_u32((u32)st->st_mtime);
}

static void reply_stat(u32 id, int result, const struct stat *st) {
  if (result) return reply_result(id, result);
  reply_begin(FXP_ATTRS, id);
  reply_attributes(st);
  reply_end();
}

static void stat_path(u32 id, struct cursor *c, int flags) {
  char *path = take_path(c);
  if (c->bad) return;
  struct stat st;
  reply_stat(id, sys_fstatat(AT_FDCWD, path, &st, flags), &st);
}
void do_stat(u32 id, struct cursor *c) { stat_path(id, c, 0); }
void do_lstat(u32 id, struct cursor *c) { stat_path(id, c, AT_SYMLINK_NOFOLLOW); }
void do_fstat(u32 id, struct cursor *c) {
  struct handle *h = take_handle(c, HANDLE_FILE);
  if (c->bad) return;
  if (!h) return reply_status(id, FX_FAILURE);
  struct stat st;
  reply_stat(id, sys_fstat(h->fd, &st), &st);
}

static const struct timespec *times_of(const struct attributes *a) {
  static struct timespec times[2];
  times[0] = (struct timespec){a->atime, 0};
  times[1] = (struct timespec){a->mtime, 0};
  return times;
}

/* Each attribute is tried whatever became of those before it, and the last failure is the answer, as in sftp-server.c. */
static void note_failure(int *result, int r) {
  if (r < 0) *result = r;
}

void do_setstat(u32 id, struct cursor *c) {
  char *path = take_path(c);
  struct attributes a;
  take_attributes(c, &a);
  if (c->bad) return;
  int result = 0;
  if (a.flags & ATTR_SIZE) note_failure(&result, sys_truncate(path, a.size));
  if (a.flags & ATTR_PERMISSIONS) note_failure(&result, sys_fchmodat(AT_FDCWD, path, (int)(a.permissions & 07777)));
  if (a.flags & ATTR_ACMODTIME) note_failure(&result, sys_utimensat(AT_FDCWD, path, times_of(&a), 0));
  if (a.flags & ATTR_UIDGID) note_failure(&result, sys_fchownat(AT_FDCWD, path, a.uid, a.gid, 0));
  reply_result(id, result);
}

void do_fsetstat(u32 id, struct cursor *c) {
  struct handle *h = take_handle(c, HANDLE_FILE);
  struct attributes a;
  take_attributes(c, &a);
  if (c->bad) return;
  if (!h) return reply_status(id, FX_FAILURE);
  int result = 0;
  if (a.flags & ATTR_SIZE) note_failure(&result, sys_ftruncate(h->fd, a.size));
  if (a.flags & ATTR_PERMISSIONS) note_failure(&result, sys_fchmod(h->fd, (int)(a.permissions & 07777)));
  if (a.flags & ATTR_ACMODTIME) note_failure(&result, sys_utimensat(h->fd, NULL, times_of(&a), 0));
  if (a.flags & ATTR_UIDGID) note_failure(&result, sys_fchown(h->fd, a.uid, a.gid));
  reply_result(id, result);
}

/* Linux has no chmod that does not follow (before 6.6), so the mode is set by the file itself, held open by O_PATH. */
static int chmod_nofollow(const char *path, int mode) {
  int fd = sys_open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  struct stat st;
  int r = sys_fstat(fd, &st);
  if (!r && S_ISLNK(st.st_mode)) r = -EOPNOTSUPP;
  if (!r) {
    char by_fd[32];
    struct text t = text_in(by_fd, sizeof by_fd);
    text_add(&t, "/proc/self/fd/");
    text_number(&t, (u64)fd);
    r = sys_fchmodat(AT_FDCWD, by_fd, mode);
    if (r == -ENOENT) r = -EOPNOTSUPP; /* no /proc */
  }
  sys_close(fd);
  return r;
}

void do_lsetstat(u32 id, struct cursor *c) {
  char *path = take_path(c);
  struct attributes a;
  take_attributes(c, &a);
  if (c->bad) return;
  if (a.flags & ATTR_SIZE) return reply_status(id, FX_BAD_MESSAGE); /* no sense for a link */
  int result = 0;
  if (a.flags & ATTR_PERMISSIONS) note_failure(&result, chmod_nofollow(path, (int)(a.permissions & 07777)));
  if (a.flags & ATTR_ACMODTIME)
    note_failure(&result, sys_utimensat(AT_FDCWD, path, times_of(&a), AT_SYMLINK_NOFOLLOW));
  if (a.flags & ATTR_UIDGID)
    note_failure(&result, sys_fchownat(AT_FDCWD, path, a.uid, a.gid, AT_SYMLINK_NOFOLLOW));
  reply_result(id, result);
}

static void reply_filesystem(u32 id, int result, const struct statfs *fs) {
  enum { READ_ONLY = 1, NO_SETUID = 2 }; /* as ST_RDONLY and ST_NOSUID, and as OpenSSH's PROTOCOL has them */
  if (result) return reply_result(id, result);
  reply_begin(FXP_EXTENDED_REPLY, id);
  reply_u64((u64)fs->f_bsize);
  reply_u64((u64)(fs->f_frsize ? fs->f_frsize : fs->f_bsize));
  reply_u64((u64)fs->f_blocks);
  reply_u64((u64)fs->f_bfree);
  reply_u64((u64)fs->f_bavail);
  reply_u64((u64)fs->f_files);
  reply_u64((u64)fs->f_ffree);
  reply_u64((u64)fs->f_ffree);
  reply_u64((u32)fs->f_fsid.val[0] | (u64)(u32)fs->f_fsid.val[1] << 32);
  reply_u64((u64)fs->f_flags & (READ_ONLY | NO_SETUID));
  reply_u64((u64)fs->f_namelen);
  reply_end();
}
void do_statvfs(u32 id, struct cursor *c) {
  char *path = take_path(c);
  if (c->bad) return;
  struct statfs fs;
  reply_filesystem(id, sys_statfs(path, &fs), &fs);
}
void do_fstatvfs(u32 id, struct cursor *c) {
  struct handle *h = take_handle(c, HANDLE_FILE);
  if (c->bad) return;
  if (!h) return reply_status(id, FX_FAILURE);
  struct statfs fs;
  reply_filesystem(id, sys_fstatfs(h->fd, &fs), &fs);
}
