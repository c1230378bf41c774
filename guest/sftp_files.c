/* Files: open, read, write, copy. */
#include "sftp_requests.h"

enum { FXF_READ = 1, FXF_WRITE = 2, FXF_APPEND = 4, FXF_CREAT = 8, FXF_TRUNC = 16, FXF_EXCL = 32 };
enum { COPY_STEP = 16 << 20 };

void reply_handle(u32 id, enum handle_kind kind, int fd, bool append) {
  if (fd < 0) return reply_result(id, fd);
  struct handle *h = handle_new(kind, fd, append);
  if (!h) {
    sys_close(fd);
    return reply_result(id, -EMFILE);
  }
  u8 name[4];
  put_u32(name, handle_name(h));
  reply_begin(FXP_HANDLE, id);
  reply_string(name, sizeof name);
  reply_end();
}

static int open_flags(u32 wanted) {
  int flags = wanted & FXF_READ && wanted & FXF_WRITE ? O_RDWR : wanted & FXF_WRITE ? O_WRONLY : O_RDONLY;
  if (wanted & FXF_APPEND) flags |= O_APPEND;
  if (wanted & FXF_CREAT) flags |= O_CREAT;
  if (wanted & FXF_TRUNC) flags |= O_TRUNC;
  if (wanted & FXF_EXCL) flags |= O_EXCL;
  /* A FIFO, a tape, a serial line must not hold up the server, a terminal not become its own. Means nothing to files. */
  return flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
}

void do_open(u32 id, struct cursor *c) {
  char *path = take_path(c);
  u32 wanted = take_u32(c);
  struct attributes a;
  take_attributes(c, &a);
  if (c->bad) return;
  if (sftp_read_only && wanted & (FXF_WRITE | FXF_CREAT | FXF_TRUNC)) return reply_status(id, FX_PERMISSION_DENIED);
  int mode = a.flags & ATTR_PERMISSIONS ? (int)(a.permissions & 07777) : 0666;
  reply_handle(id, HANDLE_FILE, sys_open(path, open_flags(wanted), mode), wanted & FXF_APPEND);
}

void do_close(u32 id, struct cursor *c) {
  struct handle *h = take_handle(c, HANDLE_FREE);
  if (c->bad) return;
  reply_result(id, h ? handle_close(h) : -ENOENT);
}

void do_read(u32 id, struct cursor *c) {
  struct handle *h = take_handle(c, HANDLE_FILE);
  u64 at = take_u64(c);
  u32 length = take_u32(c);
  if (c->bad) return;
  if (!h) return reply_status(id, FX_FAILURE);
  if (length > DATA_LIMIT) length = DATA_LIMIT;
  /* The file is read to where its bytes are sent from. */
  reply_begin(FXP_DATA, id);
  u8 *to = reply_space(4 + length);
  long n = sys_pread(h->fd, to + 4, length, at);
  if (n < 0 || (!n && length)) {
    reply_drop();
    return n ? reply_result(id, n) : reply_status(id, FX_EOF);
  }
  put_u32(to, (u32)n);
  reply_used(4 + (u32)n);
  reply_end();
}

/* All of it or an error: a disk that is full in the middle writes less first, and says why when asked again. */
static long write_all(struct handle *h, const u8 *from, u64 n, u64 at) {
  while (n) {
    long r = h->append ? sys_write(h->fd, from, n) : sys_pwrite(h->fd, from, n, at);
    if (r == -EINTR) continue;
    if (r <= 0) return r ? r : -EIO;
    from += r, at += (u64)r, n -= (u64)r;
  }
  return 0;
}

void do_write(u32 id, struct cursor *c) {
  struct handle *h = take_handle(c, HANDLE_FILE);
  u64 at = take_u64(c);
  struct bytes data = take_string(c);
  if (c->bad) return;
  if (!h) return reply_status(id, FX_FAILURE);
  if (!h->append && at >> 63) return reply_result(id, -EINVAL); /* also of no bytes, as lseek would */
  reply_result(id, write_all(h, data.at, data.n, at));
}

void do_fsync(u32 id, struct cursor *c) {
  struct handle *h = take_handle(c, HANDLE_FILE);
  if (c->bad) return;
  reply_result(id, h ? sys_fsync(h->fd) : -ENOENT);
}

static bool same_file(struct handle *a, struct handle *b) {
  struct stat x, y;
  return a == b || sys_fstat(a->fd, &x) || sys_fstat(b->fd, &y) || (x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

/* Bytes copied, 0 at the end of `from`. The kernel's own copy, which may share blocks; else by hand. */
static long copy_step(struct handle *from, u64 at, struct handle *to, u64 to_at, u64 n, bool *by_hand) {
  if (!*by_hand && !to->append) {
    long x = (long)at, y = (long)to_at;
    long r = sys_copy_file_range(from->fd, &x, to->fd, &y, n < COPY_STEP ? n : COPY_STEP, 0);
    if (r > 0 || r == -EINTR || r == -ENOSPC || r == -EDQUOT || r == -EFBIG) return r;
    *by_hand = true; /* other devices, old kernels, /proc (which says 0): none is an answer about the file */
  }
  reply_begin(FXP_DATA, 0); /* never sent: its room is the buffer */
  u32 room = DATA_LIMIT;
  u8 *buffer = reply_space(room);
  long r = sys_pread(from->fd, buffer, n < room ? n : room, at);
  if (r > 0) {
    long written = write_all(to, buffer, (u64)r, to_at);
    if (written < 0) r = written;
  }
  reply_drop();
  return r;
}

void do_copy_data(u32 id, struct cursor *c) {
  struct handle *from = take_handle(c, HANDLE_FILE);
  u64 at = take_u64(c), length = take_u64(c);
  struct handle *to = take_handle(c, HANDLE_FILE);
  u64 to_at = take_u64(c);
  if (c->bad) return;
  if (!from || !to || same_file(from, to)) return reply_status(id, FX_FAILURE);
  if (at >> 63 || to_at >> 63) return reply_result(id, -EINVAL);
  bool by_hand = false, to_end = !length;
  if (to_end) length = UINT64_MAX;
  while (length) {
    long n = copy_step(from, at, to, to_at, length, &by_hand);
    if (n == -EINTR) continue;
    if (n < 0) return reply_result(id, n);
    if (!n) return reply_status(id, to_end ? FX_OK : FX_EOF);
    at += (u64)n, to_at += (u64)n, length -= (u64)n;
  }
  reply_status(id, FX_OK);
}
