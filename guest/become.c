/* For engines that start every program as the container's own user: where that is root, the helper itself becomes the user
 * that was permitted, before it says or reads a word. What the kernel then says of us is compared with what was asked. */
#include "become.h"
#include "guest.h"
#include "str.h"

enum { GROUPS_MAX = 8192 };

static u32 groups[GROUPS_MAX + 1], have[GROUPS_MAX + 1];

struct wanted {
  u32 uid, gid;
  int groups;
};

/* (uid_t)-1 means "leave it" to the kernel: nobody is called so. */
static bool number(const char **s, u32 *value) { return str_u32(s, value) && *value != 0xffffffff; }

static bool parse(const char *s, struct wanted *w) {
  if (!number(&s, &w->uid) || *s++ != ':' || !number(&s, &w->gid)) return false;
  for (w->groups = 0; *s == ','; w->groups++) {
    s++;
    if (w->groups == GROUPS_MAX || !number(&s, &groups[w->groups])) return false;
  }
  return !*s;
}

static bool is_wanted(u32 group, const struct wanted *w) {
  if (group == w->gid) return true;
  for (int i = 0; i < w->groups; i++)
    if (groups[i] == group) return true;
  return false;
}

static bool all_equal(const u32 ids[3], u32 wanted) { return ids[0] == wanted && ids[1] == wanted && ids[2] == wanted; }

/* Real, effective and saved alike, no group but those, no capability, and no way back. */
static bool is_become(const struct wanted *w) {
  u32 ids[3];
  if (sys_getresuid(ids) || !all_equal(ids, w->uid) || sys_getresgid(ids) || !all_equal(ids, w->gid)) return false;
  int n = sys_getgroups(GROUPS_MAX + 1, have);
  if (n < 0) return false;
  for (int i = 0; i < n; i++)
    if (!is_wanted(have[i], w)) return false;
  if (w->uid == 0) return true;
  return !sys_has_capabilities() && sys_setresuid(0) && (w->gid == 0 || sys_setresgid(0));
}

int become(const char *who) {
  struct wanted w;
  if (!parse(who, &w)) {
    note("not UID:GID[,GID...]", who, 0);
    return 2;
  }
  /* The primary group is one of them, as login(1) and the engines have it. */
  groups[w.groups] = w.gid;
  int failed = sys_setgroups((size_t)w.groups + 1, groups);
  if (!failed) failed = sys_setresgid(w.gid);
  if (!failed) failed = sys_setresuid(w.uid);
  if (failed) {
    note("cannot become the user: the container's own user may not", str_error(-failed), w.uid);
    return 1;
  }
  if (!is_become(&w)) {
    note("the kernel did not make us the user, or not only that", NULL, w.uid);
    return 1;
  }
  return 0;
}
