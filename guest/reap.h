/* Zombies: the helper and its monitors are subreapers, so that a container whose pid 1 never waits does not collect them. */
#ifndef REAP_H
#define REAP_H

#include "sys.h"

/* Reaps every dead child but those that `held` claims. */
void reap_children(bool (*held)(int pid));
/* 1: dead (and still a zombie), 0: alive, -1: not a child of ours. `exit` is the payload of EXIT. */
int reap_peek(int pid, u8 exit[3]);
void reap_one(int pid);

#endif
