#include "str.h"

#ifndef HOSTED
/* The compiler emits calls to these four whatever it is told, so they have to be here under these names. The empty asm
 * keeps it from recognising the loop inside memcpy as a memcpy. */
static void *copy_forward(void *to, const void *from, size_t n) {
#if defined(__x86_64__)
  void *d = to;
  __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
#else
  u8 *d = to;
  const u8 *s = from;
  for (; n >= 16; n -= 16, d += 16, s += 16) {
    u64 pair[2];
    __builtin_memcpy(pair, s, 16);
    __builtin_memcpy(d, pair, 16);
  }
  for (; n; n--) {
    *d++ = *s++;
    __asm__ volatile("" ::: "memory");
  }
#endif
  return to;
}
void *memcpy(void *restrict to, const void *restrict from, size_t n) { return copy_forward(to, from, n); }
void *memmove(void *to, const void *from, size_t n) {
  u8 *d = to;
  const u8 *s = from;
  if (d >= s + n || d + 16 <= s) return copy_forward(to, from, n);
  if (d <= s) {
    for (; n; n--) {
      *d++ = *s++;
      __asm__ volatile("" ::: "memory");
    }
    return to;
  }
  while (n--) {
    d[n] = s[n];
    __asm__ volatile("" ::: "memory");
  }
  return to;
}
void *memset(void *to, int byte, size_t n) {
  for (u8 *d = to; n; n--) {
    *d++ = (u8)byte;
    __asm__ volatile("" ::: "memory");
  }
  return to;
}
int memcmp(const void *a, const void *b, size_t n) {
  const u8 *x = a, *y = b;
  for (; n; n--, x++, y++)
    if (*x != *y) return *x - *y;
  return 0;
}
size_t strlen(const char *s) {
  size_t n = 0;
  while (s[n]) {
    n++;
    __asm__ volatile("" ::: "memory");
  }
  return n;
}
#endif

bool str_equal(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}
bool str_starts(const char *s, const char *prefix) {
  while (*prefix && *s == *prefix) s++, prefix++;
  return !*prefix;
}
static char lower_case(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }
bool str_equal_nocase(const char *a, const char *b) {
  while (*a && lower_case(*a) == lower_case(*b)) a++, b++;
  return lower_case(*a) == lower_case(*b);
}
const char *str_find(const char *s, char c) {
  for (; *s; s++)
    if (*s == c) return s;
  return NULL;
}

bool str_u32(const char **s, u32 *value) {
  u64 v = 0;
  const char *p = *s;
  for (; *p >= '0' && *p <= '9'; p++) {
    v = v * 10 + (u64)(*p - '0');
    if (v > UINT32_MAX) return false;
  }
  if (p == *s) return false;
  *s = p, *value = (u32)v;
  return true;
}

/* Those that chdir, open and execve give; the words are glibc's, which users know. */
const char *str_error(int code) {
  switch (code) {
  case EPERM: return "Operation not permitted";
  case ENOENT: return "No such file or directory";
  case EIO: return "Input/output error";
  case ENOMEM: return "Cannot allocate memory";
  case EACCES: return "Permission denied";
  case EEXIST: return "File exists";
  case ENOTDIR: return "Not a directory";
  case EISDIR: return "Is a directory";
  case EINVAL: return "Invalid argument";
  case EMFILE: return "Too many open files";
  case ENOSPC: return "No space left on device";
  case EROFS: return "Read-only file system";
  case ENAMETOOLONG: return "File name too long";
  case ELOOP: return "Too many levels of symbolic links";
  case ESTALE: return "Stale file handle";
  case ENOTCONN: return "Transport endpoint is not connected";
  case EBUSY: return "Device or resource busy";
  case EXDEV: return "Invalid cross-device link";
  case ENODEV: return "No such device";
  case ENXIO: return "No such device or address";
  case ETXTBSY: return "Text file busy";
  case EFBIG: return "File too large";
  case ESPIPE: return "Illegal seek";
  case EMLINK: return "Too many links";
  case ENOTEMPTY: return "Directory not empty";
  case EOPNOTSUPP: return "Operation not supported";
  case EDQUOT: return "Disk quota exceeded";
  case ENFILE: return "Too many open files in system";
  case EAGAIN: return "Resource temporarily unavailable";
  case EPIPE: return "Broken pipe";
  case ENOSYS: return "Function not implemented";
  case EBADF: return "Bad file descriptor";
  default: return NULL;
  }
}

struct text text_in(char *buffer, size_t size) {
  buffer[0] = 0;
  return (struct text){.at = buffer, .size = size};
}
void text_bytes(struct text *t, const char *bytes, size_t n) {
  size_t room = t->size - 1 - t->length;
  if (n > room) n = room, t->cut = true;
  memcpy(t->at + t->length, bytes, n);
  t->length += n;
  t->at[t->length] = 0;
}
void text_add(struct text *t, const char *s) { text_bytes(t, s, strlen(s)); }
void text_number(struct text *t, u64 value) {
  char digits[20];
  size_t n = sizeof digits;
  do digits[--n] = (char)('0' + value % 10);
  while (value /= 10);
  text_bytes(t, digits + n, sizeof digits - n);
}
void text_hex(struct text *t, u32 value) {
  char digits[8];
  size_t n = sizeof digits;
  do digits[--n] = "0123456789abcdef"[value & 15];
  while (value >>= 4);
  text_bytes(t, digits + n, sizeof digits - n);
}
void text_errno(struct text *t, int code) {
  const char *s = str_error(code);
  if (s) return text_add(t, s);
  text_add(t, "error ");
  text_number(t, (u64)code);
}
