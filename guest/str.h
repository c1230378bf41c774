/* Strings, numbers and big-endian bytes. */
#ifndef STR_H
#define STR_H

#include "sys.h"

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

bool str_equal(const char *a, const char *b);
bool str_starts(const char *s, const char *prefix);
bool str_equal_nocase(const char *a, const char *b); /* ASCII: host names */
const char *str_find(const char *s, char c);         /* NULL when there is none */
const char *str_error(int code);                     /* an errno's text; NULL when it has none here */

/* Decimal digits from *s on; *s is moved behind them. False: no digit, or more than 32 bits. */
bool str_u32(const char **s, u32 *value);

static inline bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* Text that is built piece by piece in a fixed buffer, always terminated, cut at its end; `cut` tells. */
struct text {
  char *at;
  size_t size, length;
  bool cut;
};
struct text text_in(char *buffer, size_t size);
void text_bytes(struct text *t, const char *bytes, size_t n);
void text_add(struct text *t, const char *s);
void text_number(struct text *t, u64 value);
void text_hex(struct text *t, u32 value);
void text_errno(struct text *t, int code); /* the errno's text, or its number */

static inline u16 get_u16(const u8 *p) { return (u16)(p[0] << 8 | p[1]); }
static inline u32 get_u32(const u8 *p) { return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3]; }
static inline void put_u16(u8 *p, u32 v) { p[0] = (u8)(v >> 8), p[1] = (u8)v; }
static inline void put_u32(u8 *p, u32 v) { put_u16(p, v >> 16), put_u16(p + 2, v); }

#endif
