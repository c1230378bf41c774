#include "addr.h"

static bool parse_v4(const char **at, u8 to[4]) {
  const char *s = *at;
  for (int i = 0; i < 4; i++) {
    u32 v;
    if (i && *s++ != '.') return false;
    /* "010" is 8 to some and 10 to others (RFC 6943 section 3.1.1): neither. */
    if (s[0] == '0' && s[1] >= '0' && s[1] <= '9') return false;
    if (!str_u32(&s, &v) || v > 255) return false;
    to[i] = (u8)v;
  }
  *at = s;
  return true;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* RFC 4291 section 2.2: eight groups of hex digits, "::" once for a run of zeros, the last two groups as dotted decimal. */
static bool parse_v6(const char *s, u8 to[16]) {
  u8 bytes[16];
  int n = 0, gap = -1;
  memset(bytes, 0, sizeof bytes);
  if (*s == ':' && s[1] != ':') return false;
  while (*s) {
    if (*s == ':' && s[1] == ':') {
      if (gap >= 0) return false;
      gap = n;
      s += 2;
      if (!*s) break;
    } else if (n) {
      if (*s++ != ':') return false;
    }
    if (n > 14) return false;
    const char *group = s;
    u32 value = 0;
    int digits = 0;
    for (; hex_digit(*s) >= 0 && digits < 5; s++, digits++) value = value << 4 | (u32)hex_digit(*s);
    if (*s == '.') {
      if (n > 12 || !parse_v4(&group, bytes + n) || *group) return false;
      n += 4;
      break;
    }
    if (digits < 1 || digits > 4) return false;
    put_u16(bytes + n, value);
    n += 2;
  }
  if (gap < 0 && n != 16) return false;
  if (gap >= 0) {
    if (n > 14) return false;
    memmove(bytes + 16 - (n - gap), bytes + gap, (size_t)(n - gap));
    memset(bytes + gap, 0, (size_t)(16 - n));
  }
  memcpy(to, bytes, 16);
  return true;
}

bool address_parse(struct address *a, const char *s) {
  const char *end = s;
  *a = (struct address){.family = AF_INET};
  if (parse_v4(&end, a->bytes) && !*end) return true;
  *a = (struct address){.family = AF_INET6};
  return parse_v6(s, a->bytes);
}

/* RFC 5952 but for the mixed notation: no leading zeros, the longest run of two or more zero groups as "::". */
void address_format(const struct address *a, char to[ADDRESS_TEXT]) {
  struct text t = text_in(to, ADDRESS_TEXT);
  if (a->family == AF_INET) {
    for (int i = 0; i < 4; i++) {
      if (i) text_add(&t, ".");
      text_number(&t, a->bytes[i]);
    }
    return;
  }
  int best = -1, longest = 1;
  for (int i = 0; i < 8; i++) {
    int n = 0;
    while (i + n < 8 && !get_u16(a->bytes + 2 * (i + n))) n++;
    if (n > longest) best = i, longest = n;
  }
  for (int i = 0; i < 8; i++) {
    if (i == best) {
      text_add(&t, "::");
      i += longest - 1;
      continue;
    }
    if (i && (best < 0 || i != best + longest)) text_add(&t, ":");
    text_hex(&t, get_u16(a->bytes + 2 * i));
  }
}

void address_add(struct address_list *l, struct address a) {
  if (l->n < ADDRESSES_MAX) l->at[l->n++] = a;
}
struct address address_v4(u32 value) {
  struct address a = {.family = AF_INET};
  put_u32(a.bytes, value);
  return a;
}
struct address address_v6_loopback(void) { return (struct address){.family = AF_INET6, .bytes = {[15] = 1}}; }
struct address address_any(u16 family) { return (struct address){.family = family}; }

u32 socket_address_of(union socket_address *s, const struct address *a, u16 port) {
  u8 wire[2];
  put_u16(wire, port);
  memset(s, 0, sizeof *s);
  s->family = a->family;
  if (a->family == AF_INET) {
    memcpy(&s->v4.sin_port, wire, 2);
    memcpy(&s->v4.sin_addr, a->bytes, 4);
    return sizeof s->v4;
  }
  memcpy(&s->v6.sin6_port, wire, 2);
  memcpy(&s->v6.sin6_addr, a->bytes, 16);
  return sizeof s->v6;
}

int socket_address_unix(union socket_address *s, const char *path, u32 *length) {
  size_t n = strlen(path);
  if (n >= UNIX_PATH_SIZE) return ENAMETOOLONG;
  memset(s, 0, sizeof *s);
  s->family = AF_UNIX;
  memcpy(s->unix_.sun_path, path, n);
  *length = (u32)(offsetof(struct sockaddr_un, sun_path) + n + 1);
  return 0;
}

bool socket_address_read(const union socket_address *s, struct address *a, u16 *port) {
  *a = (struct address){.family = s->family};
  if (s->family == AF_INET) {
    *port = get_u16((const u8 *)&s->v4.sin_port);
    memcpy(a->bytes, &s->v4.sin_addr, 4);
    return true;
  }
  if (s->family == AF_INET6) {
    *port = get_u16((const u8 *)&s->v6.sin6_port);
    memcpy(a->bytes, &s->v6.sin6_addr, 16);
    return true;
  }
  return false;
}
