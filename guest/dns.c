#include "dns.h"

enum { HEADER = 12, CLASS_IN = 1 };

u32 dns_query(u8 to[DNS_QUERY_MAX], u16 id, u16 type, const char *name) {
  u32 n = HEADER;
  size_t length = strlen(name);
  if (length && name[length - 1] == '.') length--;
  if (length == 0 || length > DNS_NAME_MAX) return 0;
  memset(to, 0, HEADER);
  put_u16(to, id);
  to[2] = 1; /* recursion desired */
  to[5] = 1; /* one question */
  for (size_t i = 0; i < length;) {
    size_t end = i;
    while (end < length && name[end] != '.') {
      if ((u8)name[end] <= ' ') return 0;
      end++;
    }
    if (end == i || end - i > 63) return 0;
    to[n++] = (u8)(end - i);
    memcpy(to + n, name + i, end - i);
    n += (u32)(end - i);
    i = end + 1;
    if (end + 1 == length) return 0; /* "a.." */
  }
  to[n++] = 0;
  put_u16(to + n, type);
  put_u16(to + n + 2, CLASS_IN);
  return n + 4;
}

static void skip_name(struct cursor *c) {
  while (!c->bad) {
    u8 n = take_u8(c);
    if (n == 0) return;
    if (n >= 0xc0) { /* a pointer ends the name; it is never followed, so loops do not matter */
      take_u8(c);
      return;
    }
    take(c, n);
  }
}

/* Our own question comes back in an answer: with the id and a random port, what tells it from a forged one. */
static bool same_question(struct cursor *c, struct bytes query) {
  u8 *asked = query.at + HEADER, *got = take(c, query.n - HEADER);
  if (!got) return false;
  for (u32 i = 0; i < query.n - HEADER; i++) {
    u8 a = asked[i], b = got[i];
    if (a >= 'A' && a <= 'Z') a = (u8)(a + 32);
    if (b >= 'A' && b <= 'Z') b = (u8)(b + 32);
    if (a != b) return false;
  }
  return true;
}

enum dns_answer dns_parse(struct bytes packet, struct bytes query, struct address_list *found) {
  struct cursor c = cursor_over(packet);
  u16 id = take_u16(&c), bits = take_u16(&c), questions = take_u16(&c), answers = take_u16(&c);
  take_u32(&c);
  if (c.bad || id != get_u16(query.at) || !(bits & 0x8000) || questions != 1 || !same_question(&c, query))
    return DNS_NOT_OURS;
  u16 code = bits & 15, type = get_u16(query.at + query.n - 4);
  if (code == 3) return DNS_NO_SUCH_NAME;
  if (code != 0) return DNS_SERVER_FAILED;
  /* The names in front of the records are not compared: behind CNAMEs they are others. */
  for (u32 i = 0; i < answers && !c.bad; i++) {
    skip_name(&c);
    u16 got = take_u16(&c), class = take_u16(&c);
    take_u32(&c); /* time to live */
    u16 n = take_u16(&c);
    u8 *data = take(&c, n);
    if (!data || got != type || class != CLASS_IN || n != (type == DNS_A ? 4 : 16)) continue;
    struct address a = {.family = type == DNS_A ? AF_INET : AF_INET6};
    memcpy(a.bytes, data, n);
    address_add(found, a);
  }
  return DNS_ANSWERED;
}
