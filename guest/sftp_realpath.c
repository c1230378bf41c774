#include "sftp_realpath.h"
#include "sftp_modes.h"
#include "str.h"

enum { LINKS_MAX = 40 }; /* the kernel's */

static void drop_last(struct text *real) {
  while (real->length > 1 && real->at[real->length - 1] != '/') real->length--;
  if (real->length > 1) real->length--;
  real->at[real->length] = 0;
}

/* What is left to walk becomes the link's target followed by what was left before. */
static int follow_link(const char *at, char left[PATH_SIZE], const char *rest) {
  char target[PATH_SIZE];
  long n = sys_readlinkat(AT_FDCWD, at, target, sizeof target - 1);
  if (n < 0) return (int)n;
  if (!n) return -ENOENT;
  target[n] = 0;
  struct text whole = {.at = target, .size = sizeof target, .length = (size_t)n};
  if (rest) text_add(&whole, "/"), text_add(&whole, rest);
  if (whole.cut) return -ENAMETOOLONG;
  memcpy(left, target, whole.length + 1);
  return 0;
}

int real_path(const char *path, char real[PATH_SIZE]) {
  char left[PATH_SIZE];
  size_t n = strlen(path);
  if (n >= sizeof left) return -ENAMETOOLONG;
  memcpy(left, path, n + 1);
  struct text at = text_in(real, PATH_SIZE);
  if (*path == '/') {
    text_add(&at, "/");
  } else {
    long r = sys_getcwd(real, PATH_SIZE);
    if (r < 0) return (int)r;
    if (*real != '/') return -ENOENT; /* "(unreachable)": the directory is outside this root */
    at.length = strlen(real);
  }
  u32 links = 0;
  char *next = left;
  while (*next) {
    char *name = next;
    while (*next && *next != '/') next++;
    char *rest = *next ? next + 1 : NULL;
    if (rest) *next++ = 0;
    if (!*name || str_equal(name, ".")) continue;
    if (str_equal(name, "..")) {
      drop_last(&at);
      continue;
    }
    size_t before = at.length;
    if (at.at[at.length - 1] != '/') text_add(&at, "/");
    text_add(&at, name);
    if (at.cut) return -ENAMETOOLONG;
    struct stat st;
    int r = sys_fstatat(AT_FDCWD, real, &st, AT_SYMLINK_NOFOLLOW);
    if (r == -ENOENT && !rest) return 0;
    if (r) return r;
    if (!S_ISLNK(st.st_mode)) continue;
    if (links++ >= LINKS_MAX) return -ELOOP;
    r = follow_link(real, left, rest);
    if (r) return r;
    next = left;
    at.length = *left == '/' ? 1 : before;
    real[at.length] = 0;
  }
  return 0;
}
