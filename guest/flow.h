/* Bytes between a channel's descriptors and the line, within the credit of either side. */
#ifndef FLOW_H
#define FLOW_H

#include "chan.h"

void flow_data(struct chan *c, struct bytes data); /* the gateway's DATA */
void flow_eof(struct chan *c);                     /* the gateway's EOF */
void flow_write(struct chan *c);                   /* what is queued, to the program */
void flow_unread(struct chan *c);                 /* nobody reads the program's stdin any more */
void flow_wake(struct chan *c);                    /* it may have something to read, or may send again */
void flow_turns(void);                             /* what may be sent and finds room is read */
bool flow_can_turn(void);                          /* there is more of that */

#endif
