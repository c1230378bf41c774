#include "wire.h"

u8 *take(struct cursor *c, u32 n) {
  if (c->bad || (size_t)(c->end - c->at) < n) {
    c->bad = true;
    return NULL;
  }
  u8 *at = c->at;
  c->at += n;
  return at;
}
u8 take_u8(struct cursor *c) {
  u8 *p = take(c, 1);
  return p ? *p : 0;
}
u16 take_u16(struct cursor *c) {
  u8 *p = take(c, 2);
  return p ? get_u16(p) : 0;
}
u32 take_u32(struct cursor *c) {
  u8 *p = take(c, 4);
  return p ? get_u32(p) : 0;
}
struct bytes take_string(struct cursor *c) {
  u32 n = take_u32(c);
  u8 *p = take(c, n);
  return (struct bytes){p, p ? n : 0};
}
/* A NUL would end the string for the kernel and let what follows slip past every check made on the whole. */
struct bytes take_name(struct cursor *c) {
  struct bytes b = take_string(c);
  for (u32 i = 0; i < b.n; i++)
    if (!b.at[i]) c->bad = true;
  return b;
}
u32 take_names(struct cursor *c, u8 **first) {
  u32 n = take_u32(c);
  *first = c->at;
  /* Each costs at least its four bytes of length, so `n` lies or the loop is bounded by the request's size. */
  for (u32 i = 0; i < n && !c->bad; i++) take_name(c);
  return n;
}
