/* Sockets of the container: connections made for the gateway, and listeners whose connections it is given. */
#ifndef SOCKET_H
#define SOCKET_H

#include "chan.h"

void socket_connect(u32 id, u32 credit, u8 kind, u16 port, const char *name);
void socket_resolved(struct chan *c, const struct address_list *found, int error);
void socket_event(struct chan *c); /* while it is connecting */
void socket_due(struct chan *c); /* `due` has come */
void socket_settle(struct chan *c);
void socket_broken(struct chan *c);
void socket_close(struct chan *c); /* the gateway's CLOSE */

void listener_open(u32 id, u8 kind, u16 port, const char *name, u32 mode, u8 flags);
void listener_accept(struct chan *c);
void listener_close(struct chan *c);
bool listener_gave(u32 id); /* it was an accepted connection's once */

#endif
