#include "sftp_io.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, n) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(at, n) ((void)0)
#endif

enum {
  INPUT_SIZE = 2 * (PACKET_LIMIT + 4),
  OUTPUT_SIZE = 2 * (PACKET_LIMIT + 4),
  /* A client that waits for the first of many blocks should not wait for the last of them. */
  FLUSH_AT = 128 << 10,
};

static struct {
  int in, out;
  bool broken; /* writing failed */
  u8 input[INPUT_SIZE];
  u32 start, end;
  u8 output[OUTPUT_SIZE];
  u32 packet, filled; /* where the packet being built begins, where it ends */
} io;

void packets_open(int in, int out) {
  io.in = in, io.out = out;
  io.broken = false;
  io.start = io.end = io.packet = io.filled = 0;
}

/* Without a full packet in the buffer: makes room for `need` bytes from `start` on and reads what there is. */
static enum incoming fill_input(u32 need) {
  if (!reply_flush()) return PACKETS_BROKEN;
  ASAN_UNPOISON_MEMORY_REGION(io.input, INPUT_SIZE);
  if (io.start == io.end) {
    io.start = io.end = 0;
  } else if (io.start + need > INPUT_SIZE) {
    memmove(io.input, io.input + io.start, io.end - io.start);
    io.end -= io.start, io.start = 0;
  }
  for (;;) {
    /* Not asleep in read(2): on a socket that wakes up whenever the other end takes an answer, too (unix_write_space). */
    sys_poll_one(io.in, POLLIN, -1);
    long n = sys_read(io.in, io.input + io.end, INPUT_SIZE - io.end);
    if (n > 0) {
      io.end += (u32)n;
      return PACKET;
    }
    if (!n) return PACKETS_END;
    if (n != -EAGAIN && n != -EINTR) return n == -ECONNRESET ? PACKETS_END : PACKETS_BROKEN;
  }
}

enum incoming packet_next(struct cursor *packet) {
  ASAN_UNPOISON_MEMORY_REGION(io.input, INPUT_SIZE);
  for (;;) {
    u32 have = io.end - io.start, need = 4;
    if (have >= 4) {
      u32 length = get_u32(io.input + io.start);
      if (length < 1 || length > PACKET_LIMIT) return PACKETS_MALFORMED;
      need += length;
      if (have >= need) {
        u8 *at = io.input + io.start + 4;
        *packet = (struct cursor){at, at + length, false};
        io.start += need;
        ASAN_POISON_MEMORY_REGION(io.input, (size_t)(at - io.input - 4));
        ASAN_POISON_MEMORY_REGION(at + length, (size_t)(INPUT_SIZE - (at + length - io.input)));
        return PACKET;
      }
    }
    enum incoming came = fill_input(need);
    if (came != PACKET) return came;
  }
}

u64 take_u64(struct cursor *c) {
  u64 high = take_u32(c);
  return high << 32 | take_u32(c);
}

/* OpenSSH's sshbuf_get_cstring bears one NUL, at the end. The bytes move over the last one of their length, which was
 * read, because the byte behind them belongs to somebody else. */
char *take_path(struct cursor *c) {
  struct bytes b = take_string(c);
  if (c->bad) return NULL;
  if (b.n && !b.at[b.n - 1]) b.n--;
  for (u32 i = 0; i < b.n; i++) {
    if (b.at[i]) continue;
    c->bad = true;
    return NULL;
  }
  memmove(b.at - 1, b.at, b.n);
  b.at[(long)b.n - 1] = 0;
  return (char *)b.at - 1;
}

bool reply_flush(void) {
  u32 sent = 0;
  while (sent < io.packet && !io.broken) {
    long n = sys_write(io.out, io.output + sent, io.packet - sent);
    if (n > 0)
      sent += (u32)n;
    else if (n == -EAGAIN)
      sys_poll_one(io.out, POLLOUT, -1);
    else if (n != -EINTR)
      io.broken = true;
  }
  io.packet = io.filled = 0;
  return !io.broken;
}

void reply_begin(u8 type, u32 id) {
  if (OUTPUT_SIZE - io.packet < PACKET_LIMIT + 4) reply_flush();
  io.filled = io.packet + 4;
  io.output[io.filled++] = type;
  reply_u32(id);
}
u32 reply_room(void) { return io.packet + 4 + PACKET_LIMIT - io.filled; }
u8 *reply_space(u32 n) { return n <= reply_room() ? io.output + io.filled : NULL; }
void reply_used(u32 n) { io.filled += n; }
/* Callers stay within the room; if one did not, the packet would be wrong, never the memory behind it. */
static void reply_append(const void *at, size_t n) {
  if (n > reply_room()) return;
  memcpy(io.output + io.filled, at, n);
  io.filled += (u32)n;
}
void reply_u32(u32 value) {
  u8 bytes[4];
  put_u32(bytes, value);
  reply_append(bytes, 4);
}
void reply_u64(u64 value) {
  reply_u32((u32)(value >> 32));
  reply_u32((u32)value);
}
void reply_string(const void *at, size_t n) {
  reply_u32((u32)n);
  reply_append(at, n);
}
void reply_text(const char *s) { reply_string(s, strlen(s)); }
void reply_end(void) {
  put_u32(io.output + io.packet, io.filled - io.packet - 4);
  io.packet = io.filled;
  if (io.packet >= FLUSH_AT) reply_flush();
}
void reply_drop(void) { io.filled = io.packet; }

void reply_status_text(u32 id, u32 status, const char *text) {
  reply_begin(FXP_STATUS, id);
  reply_u32(status);
  reply_text(text);
  reply_text(""); /* language */
  reply_end();
}

static const char *const status_texts[] = {
    "Success",       "End of file",     "No such file",         "Permission denied", "Failure", "Bad message",
    "No connection", "Connection lost", "Operation unsupported",
};
void reply_status(u32 id, u32 status) { reply_status_text(id, status, status_texts[status]); }

/* sftp-server.c, errno_to_portable */
static u32 status_of(int error) {
  switch (error) {
  case 0: return FX_OK;
  case ENOENT:
  case ENOTDIR:
  case EBADF:
  case ELOOP: return FX_NO_SUCH_FILE;
  case EPERM:
  case EACCES:
  case EFAULT: return FX_PERMISSION_DENIED;
  case ENAMETOOLONG:
  case EINVAL: return FX_BAD_MESSAGE;
  case ENOSYS: return FX_OP_UNSUPPORTED;
  default: return FX_FAILURE;
  }
}

void reply_result(u32 id, long result) {
  int error = result < 0 ? (int)-result : 0;
  u32 status = status_of(error);
  const char *why = status == FX_FAILURE ? str_error(error) : NULL;
  if (!why) return reply_status(id, status);
  char line[96];
  struct text t = text_in(line, sizeof line);
  text_add(&t, "Failure: ");
  text_add(&t, why);
  reply_status_text(id, status, line);
}
