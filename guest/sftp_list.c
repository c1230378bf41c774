/* Directories. A READDIR is one getdents and one reply, so a directory of any size needs no memory of ours. */
#include "sftp_people.h"
#include "sftp_requests.h"

/* Every entry of one getdents has to fit one reply. The least entry is 24 bytes for a name of up to 4; a reply's entry
 * is at most 56 + 2 * 64 (owner, group) + 32 (attributes and lengths) + 2 names, so under 10 times as much: 80 KiB. In
 * practice 30 KiB, which suits clients that take no more than the draft's 34000 bytes. */
enum { ENTRIES_SIZE = 8 << 10 };

struct entry {
  u64 inode, next;
  u16 length;
  u8 type;
  char name[];
};

void do_opendir(u32 id, struct cursor *c) {
  char *path = take_path(c);
  if (c->bad) return;
  reply_handle(id, HANDLE_DIRECTORY, sys_open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC, 0), false);
}

static void add_mode(struct text *t, u32 mode) {
  char s[11];
  switch (mode & S_IFMT) {
  case S_IFDIR: s[0] = 'd'; break;
  case S_IFCHR: s[0] = 'c'; break;
  case S_IFBLK: s[0] = 'b'; break;
  case S_IFREG: s[0] = '-'; break;
  case S_IFLNK: s[0] = 'l'; break;
  case S_IFSOCK: s[0] = 's'; break;
  case S_IFIFO: s[0] = 'p'; break;
  default: s[0] = '?';
  }
  for (u32 i = 0; i < 9; i++) s[1 + i] = mode >> (8 - i) & 1 ? "rwx"[i % 3] : '-';
  if (mode & S_ISUID) s[3] = mode & S_IXUSR ? 's' : 'S';
  if (mode & S_ISGID) s[6] = mode & S_IXGRP ? 's' : 'S';
  if (mode & S_ISVTX) s[9] = mode & S_IXOTH ? 't' : 'T';
  s[10] = ' ';
  text_bytes(t, s, sizeof s);
}

static void add_padded(struct text *t, const char *s, size_t width, bool right) {
  size_t n = strlen(s), pad = n < width ? width - n : 0;
  if (!right) text_add(t, s);
  while (pad--) text_add(t, " ");
  if (right) text_add(t, s);
}
static void add_number(struct text *t, u64 value, size_t width) {
  char digits[24];
  struct text n = text_in(digits, sizeof digits);
  text_number(&n, value);
  add_padded(t, digits, width, true);
}
static void add_owner(struct text *t, enum people which, u32 id) {
  const char *name = name_of(which, id);
  char digits[12];
  struct text n = text_in(digits, sizeof digits);
  if (!name) text_number(&n, id);
  add_padded(t, name ? name : digits, 8, false);
}

static void add_two(struct text *t, u32 value, char pad) {
  char s[2] = {value < 10 ? pad : (char)('0' + value / 10), (char)('0' + value % 10)};
  text_bytes(t, s, 2);
}
/* "Jan  2 15:04", or "Jan  2  2006" when it is half a year ago or to come. In UTC, which is what nearly every container has. */
static void add_time(struct text *t, long seconds, long now) {
  long days = seconds / 86400, of_day = seconds % 86400;
  if (of_day < 0) days--, of_day += 86400;
  /* Days to a date, counted in eras of 400 years from 1 March of year 0, so that leap days come last. */
  long from = days + 719468;
  long era = (from >= 0 ? from : from - 146096) / 146097;
  long day = from - era * 146097;
  long year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  long of_year = day - (365 * year + year / 4 - year / 100);
  long month = (5 * of_year + 2) / 153;
  year += era * 400 + (month >= 10);
  text_bytes(t, &"MarAprMayJunJulAugSepOctNovDecJanFeb"[month * 3], 3);
  text_add(t, " ");
  add_two(t, (u32)(of_year - (153 * month + 2) / 5 + 1), ' ');
  text_add(t, " ");
  if (seconds <= now && now - seconds < 365L * 24 * 60 * 60 / 2) {
    add_two(t, (u32)(of_day / 3600), '0');
    text_add(t, ":");
    add_two(t, (u32)(of_day / 60 % 60), '0');
  } else {
    text_add(t, " ");
    if (year < 0) text_add(t, "-");
    text_number(t, (u64)(year < 0 ? -year : year));
  }
}

static void reply_entry(const char *name, const struct stat *st, long now) {
  char line[512];
  struct text t = text_in(line, sizeof line);
  add_mode(&t, st->st_mode);
  text_add(&t, " ");
  add_number(&t, st->st_nlink, 3);
  text_add(&t, " ");
  add_owner(&t, USERS, st->st_uid);
  text_add(&t, " ");
  add_owner(&t, GROUPS, st->st_gid);
  text_add(&t, " ");
  add_number(&t, (u64)st->st_size, 8);
  text_add(&t, " ");
  add_time(&t, (long)st->st_mtime, now);
  text_add(&t, " ");
  text_add(&t, name);
  reply_text(name);
  reply_string(line, t.length);
  reply_attributes(st);
}

void do_readdir(u32 id, struct cursor *c) {
  static u8 entries[ENTRIES_SIZE] __attribute__((aligned(8)));
  struct handle *h = take_handle(c, HANDLE_DIRECTORY);
  if (c->bad) return;
  if (!h) return reply_status(id, FX_FAILURE);
  long now = (long)sys_realtime_seconds();
  for (;;) {
    long n = sys_getdents(h->fd, entries, sizeof entries);
    if (n < 0) return reply_result(id, n);
    if (!n) return reply_status(id, FX_EOF);
    reply_begin(FXP_NAME, id);
    u8 *count_at = reply_space(4);
    u32 count = 0;
    reply_u32(0);
    for (long at = 0; at < n;) {
      struct entry *e = (struct entry *)(entries + at);
      at += e->length;
      struct stat st;
      /* Gone since, or in a directory that can be read but not searched: nothing is known of it. */
      if (sys_fstatat(h->fd, e->name, &st, AT_SYMLINK_NOFOLLOW)) continue;
      reply_entry(e->name, &st, now);
      count++;
    }
    put_u32(count_at, count);
    if (count) return reply_end();
    reply_drop();
  }
}
