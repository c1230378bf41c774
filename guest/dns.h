/* DNS messages (RFC 1035): one question out, addresses in. */
#ifndef DNS_H
#define DNS_H

#include "addr.h"
#include "wire.h"

enum { DNS_NAME_MAX = 253, DNS_QUERY_MAX = 12 + 255 + 4, DNS_A = 1, DNS_AAAA = 28 };
enum dns_answer { DNS_NOT_OURS, DNS_ANSWERED, DNS_NO_SUCH_NAME, DNS_SERVER_FAILED };

/* Its length; 0 when it is no name that can be asked for. */
u32 dns_query(u8 to[DNS_QUERY_MAX], u16 id, u16 type, const char *name);
/* The addresses of the queried type are added to the list. The packet is whatever somebody sent. */
enum dns_answer dns_parse(struct bytes packet, struct bytes query, struct address_list *found);

#endif
