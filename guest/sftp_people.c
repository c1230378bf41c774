#include "sftp_people.h"
#include "sftp_realpath.h"
#include "sftp_requests.h"

enum {
  LINE_SIZE = 1024,    /* of a longer line the rest is dropped: a group's members, which nobody asks for */
  FILE_MAX = 4 << 20,  /* the files are the container's: whatever they are, reading them ends */
  CACHE_SIZE = 128,
};

struct lines {
  int fd;
  u32 total, at, end;
  char buffer[4096], line[LINE_SIZE];
};
static struct lines lines;

static bool lines_open(enum people which) {
  lines.fd = sys_open(which == USERS ? "/etc/passwd" : "/etc/group", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
  lines.total = lines.at = lines.end = 0;
  return lines.fd >= 0;
}
static bool line_read(void) {
  u32 n = 0;
  for (;;) {
    if (lines.at == lines.end) {
      long r = lines.total < FILE_MAX ? sys_read(lines.fd, lines.buffer, sizeof lines.buffer) : 0;
      lines.at = 0, lines.end = r > 0 ? (u32)r : 0;
      lines.total += lines.end;
      if (!lines.end) break;
    }
    char byte = lines.buffer[lines.at++];
    if (byte == '\n') {
      lines.line[n] = 0;
      return true;
    }
    if (n < LINE_SIZE - 1) lines.line[n++] = byte;
  }
  lines.line[n] = 0;
  return n > 0;
}

/* Field i of the line, ended by a NUL in place of its colon; fields are asked for from the last to the first. */
static char *line_field(u32 i) {
  char *s = lines.line;
  for (; i; i--) {
    while (*s && *s != ':') s++;
    if (!*s) return NULL;
    s++;
  }
  for (char *end = s; *end; end++) {
    if (*end != ':') continue;
    *end = 0;
    break;
  }
  return s;
}

static bool search_name(enum people which, u32 id, char name[PERSON_NAME_SIZE]) {
  if (!lines_open(which)) return false;
  bool found = false;
  while (!found && line_read()) {
    const char *number = line_field(2), *who = line_field(0);
    u32 value;
    if (!number || !*who || !str_u32(&number, &value) || *number || value != id) continue;
    struct text t = text_in(name, PERSON_NAME_SIZE);
    text_add(&t, who);
    found = true;
  }
  sys_close(lines.fd);
  return found;
}

const char *name_of(enum people which, u32 id) {
  static struct {
    bool known, found;
    u32 id;
    char name[PERSON_NAME_SIZE];
  } cache[2][CACHE_SIZE];
  u32 i = id % CACHE_SIZE;
  if (!cache[which][i].known || cache[which][i].id != id) {
    cache[which][i].known = true;
    cache[which][i].id = id;
    cache[which][i].found = search_name(which, id, cache[which][i].name);
  }
  return cache[which][i].found ? cache[which][i].name : NULL;
}

bool home_of(const char *user, char home[PATH_SIZE]) {
  if (!lines_open(USERS)) return false;
  bool found = false;
  while (!found && line_read()) {
    const char *directory = line_field(5), *who = line_field(0);
    if (!directory || !str_equal(who, user)) continue;
    struct text t = text_in(home, PATH_SIZE);
    text_add(&t, directory);
    found = true;
  }
  sys_close(lines.fd);
  return found;
}

void do_home_directory(u32 id, struct cursor *c) {
  char *user = take_path(c);
  if (c->bad) return;
  char home[PATH_SIZE];
  if (!home_of(user, home)) return reply_status(id, FX_FAILURE);
  reply_one_name(id, home);
}

/* A string of strings, one for each id, empty for those without a name and for those that would not fit the reply. */
static void reply_names(enum people which, struct bytes ids, u32 kept_free) {
  u8 *length = reply_space(4);
  reply_u32(0);
  u32 before = reply_room();
  for (u32 i = 0; i + 4 <= ids.n; i += 4) {
    const char *name = name_of(which, get_u32(ids.at + i));
    u32 still = ids.n - i + kept_free;
    reply_text(name && reply_room() >= still + strlen(name) ? name : "");
  }
  put_u32(length, before - reply_room());
}
void do_users_groups(u32 id, struct cursor *c) {
  struct bytes users = take_string(c), groups = take_string(c);
  if (users.n % 4 || groups.n % 4) c->bad = true;
  if (c->bad) return;
  reply_begin(FXP_EXTENDED_REPLY, id);
  reply_names(USERS, users, groups.n + 4);
  reply_names(GROUPS, groups, 0);
  reply_end();
}
