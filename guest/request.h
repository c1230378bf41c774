/* Frames from the gateway: checked whole, then acted upon. */
#ifndef REQUEST_H
#define REQUEST_H

#include "guest.h"

bool request_init(void); /* false: no memory */
/* A frame of either line. */
void frame_handle(struct line *from, const struct frame *f);

/* SWITCH: frames move to a unix socket. */
void switch_begin(const u8 token[16], const char *path);
u64 switch_tick(void); /* as session_tick */
/* Afterwards: a further connection to that socket, the token written, blocking. A negative errno where there is none. */
int switch_connect(const u8 token[16]);

#endif
