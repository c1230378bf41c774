/* Names: links, renames, directories made and removed, and what a path really is. */
#include "sftp_people.h"
#include "sftp_realpath.h"
#include "sftp_requests.h"

#include <linux/fs.h>

void reply_one_name(u32 id, const char *name) {
  reply_begin(FXP_NAME, id);
  reply_u32(1);
  reply_text(name);
  reply_text(name);
  reply_u32(0); /* no attributes */
  reply_end();
}

void do_remove(u32 id, struct cursor *c) {
  char *path = take_path(c);
  if (c->bad) return;
  reply_result(id, sys_unlinkat(AT_FDCWD, path, 0));
}
void do_mkdir(u32 id, struct cursor *c) {
  char *path = take_path(c);
  struct attributes a;
  take_attributes(c, &a);
  if (c->bad) return;
  reply_result(id, sys_mkdirat(AT_FDCWD, path, a.flags & ATTR_PERMISSIONS ? (int)(a.permissions & 07777) : 0777));
}
void do_rmdir(u32 id, struct cursor *c) {
  char *path = take_path(c);
  if (c->bad) return;
  reply_result(id, sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR));
}

/* Where the filesystem has no RENAME_NOREPLACE: a link first, because that fails when the name is taken. */
static int rename_by_link(const char *from, const char *to) {
  struct stat st;
  int r = sys_fstatat(AT_FDCWD, from, &st, AT_SYMLINK_NOFOLLOW);
  if (r) return r;
  if (S_ISREG(st.st_mode)) {
    r = sys_linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
    if (!r) {
      r = sys_unlinkat(AT_FDCWD, from, 0);
      if (r) sys_unlinkat(AT_FDCWD, to, 0);
      return r;
    }
    if (r != -EOPNOTSUPP && r != -ENOSYS && r != -EXDEV && r != -EPERM) return r;
  }
  /* Directories cannot be linked, and some filesystems link nothing: look, then rename. Not free of races. */
  if (!sys_fstatat(AT_FDCWD, to, &st, AT_SYMLINK_NOFOLLOW)) return -EEXIST;
  return sys_renameat(AT_FDCWD, from, AT_FDCWD, to);
}
void do_rename(u32 id, struct cursor *c) {
  char *from = take_path(c), *to = take_path(c);
  if (c->bad) return;
  int r = sys_renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
  if (r == -EINVAL || r == -ENOSYS) r = rename_by_link(from, to);
  reply_result(id, r);
}
void do_posix_rename(u32 id, struct cursor *c) {
  char *from = take_path(c), *to = take_path(c);
  if (c->bad) return;
  reply_result(id, sys_renameat(AT_FDCWD, from, AT_FDCWD, to));
}
void do_hardlink(u32 id, struct cursor *c) {
  char *from = take_path(c), *to = take_path(c);
  if (c->bad) return;
  reply_result(id, sys_linkat(AT_FDCWD, from, AT_FDCWD, to, 0));
}
/* Target first: the draft says otherwise, but OpenSSH did it so at first and every client has followed (its PROTOCOL). */
void do_symlink(u32 id, struct cursor *c) {
  char *target = take_path(c), *path = take_path(c);
  if (c->bad) return;
  reply_result(id, sys_symlinkat(target, AT_FDCWD, path));
}
void do_readlink(u32 id, struct cursor *c) {
  char *path = take_path(c);
  if (c->bad) return;
  char target[PATH_SIZE];
  long n = sys_readlinkat(AT_FDCWD, path, target, sizeof target - 1);
  if (n < 0) return reply_result(id, n);
  target[n] = 0;
  reply_one_name(id, target);
}

static void reply_real_path(u32 id, const char *path) {
  char real[PATH_SIZE];
  int r = real_path(*path ? path : ".", real);
  if (r) return reply_result(id, r);
  reply_one_name(id, real);
}
void do_realpath(u32 id, struct cursor *c) {
  char *path = take_path(c);
  if (c->bad) return;
  reply_real_path(id, path);
}

/* "~" is where the server started, which is the home; "~name" is theirs. */
void do_expand_path(u32 id, struct cursor *c) {
  char *path = take_path(c);
  if (c->bad) return;
  if (*path != '~') return reply_real_path(id, path);
  char whole[PATH_SIZE], name[PERSON_NAME_SIZE];
  struct text t = text_in(whole, sizeof whole);
  const char *rest = str_find(path, '/');
  size_t n = rest ? (size_t)(rest - path) - 1 : strlen(path) - 1;
  if (!rest) rest = "";
  if (!n) {
    text_add(&t, ".");
  } else {
    struct text who = text_in(name, sizeof name);
    text_bytes(&who, path + 1, n);
    char home[PATH_SIZE];
    if (who.cut || !home_of(name, home)) return reply_status_text(id, FX_NO_SUCH_FILE, "no such user");
    text_add(&t, home);
  }
  text_add(&t, rest);
  if (t.cut) return reply_result(id, -ENAMETOOLONG);
  reply_real_path(id, whole);
}
