/* Addresses: numeric forms in and out, and as the kernel takes them. */
#ifndef ADDR_H
#define ADDR_H

#include "str.h"

enum { UNIX_PATH_SIZE = 108, ADDRESS_TEXT = 48, ADDRESSES_MAX = 8 };

struct address {
  u16 family;
  u8 bytes[16];
};
struct address_list {
  u32 n;
  struct address at[ADDRESSES_MAX];
};
union socket_address {
  u16 family;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  struct sockaddr_un unix_;
};

bool address_parse(struct address *a, const char *s); /* "192.0.2.1", "2001:db8::1" */
void address_format(const struct address *a, char to[ADDRESS_TEXT]);
void address_add(struct address_list *l, struct address a); /* further than ADDRESSES_MAX are dropped */
struct address address_v4(u32 value);
struct address address_v6_loopback(void);
struct address address_any(u16 family);

u32 socket_address_of(union socket_address *s, const struct address *a, u16 port); /* its length */
/* 0 or ENAMETOOLONG. */
int socket_address_unix(union socket_address *s, const char *path, u32 *length);
bool socket_address_read(const union socket_address *s, struct address *a, u16 *port);

#endif
