#include "sftp_handles.h"

enum { DESCRIPTORS_BESIDE = 5 }; /* stdio, and what a request opens for itself; as sftp-server.c counts them */

static struct handle handles[HANDLES_MAX];
static u32 next, limit;

void handles_open(void) {
  struct rlimit64 descriptors = {0, 0};
  sys_prlimit(RLIMIT_NOFILE, NULL, &descriptors);
  if (descriptors.rlim_cur < HANDLES_MAX + DESCRIPTORS_BESIDE && descriptors.rlim_cur < descriptors.rlim_max) {
    u64 wanted = HANDLES_MAX + DESCRIPTORS_BESIDE;
    descriptors.rlim_cur = wanted < descriptors.rlim_max ? wanted : descriptors.rlim_max;
    sys_prlimit(RLIMIT_NOFILE, &descriptors, NULL);
  }
  u64 usable = descriptors.rlim_cur > DESCRIPTORS_BESIDE ? descriptors.rlim_cur - DESCRIPTORS_BESIDE : 0;
  limit = usable < HANDLES_MAX ? (u32)usable : HANDLES_MAX;
  next = 0;
}
void handles_close(void) {
  for (u32 i = 0; i < HANDLES_MAX; i++)
    if (handles[i].kind) handle_close(&handles[i]);
}
u32 handles_limit(void) { return limit; }

struct handle *handle_new(enum handle_kind kind, int fd, bool append) {
  for (u32 tried = 0; tried < HANDLES_MAX; tried++) {
    struct handle *h = &handles[next];
    next = (next + 1) % HANDLES_MAX;
    if (h->kind) continue;
    *h = (struct handle){.fd = fd, .generation = h->generation, .kind = (u8)kind, .append = append};
    return h;
  }
  return NULL;
}

u32 handle_name(const struct handle *h) { return (u32)h->generation << 16 | (u32)(h - handles); }

struct handle *take_handle(struct cursor *c, enum handle_kind kind) {
  struct bytes b = take_string(c);
  if (c->bad || b.n != 4) return NULL;
  u32 name = get_u32(b.at), i = name & 0xffff;
  if (i >= HANDLES_MAX || handles[i].generation != name >> 16 || !handles[i].kind) return NULL;
  return !kind || handles[i].kind == kind ? &handles[i] : NULL;
}

int handle_close(struct handle *h) {
  int r = sys_close(h->fd);
  h->kind = HANDLE_FREE;
  h->generation++;
  return r == -EINTR ? 0 : r; /* Linux has closed it all the same (close(2)) */
}
