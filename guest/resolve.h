/* Names to addresses: localhost, /etc/hosts, then the name servers of /etc/resolv.conf, without ever waiting. */
#ifndef RESOLVE_H
#define RESOLVE_H

#include "chan.h"

bool resolve_local(const char *name, struct address_list *found);
int resolve_start(struct chan *c, const char *name); /* 0, or an errno; socket_resolved is called later */
void resolve_cancel(struct chan *c);
void resolve_event(u32 lookup, u32 generation);
u64 resolve_tick(void); /* as session_tick */

#endif
