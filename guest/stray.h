/* What a delivery left behind: a shell that does not answer has its mark among its arguments. */
#ifndef STRAY_H
#define STRAY_H

/* Kills the sessions of all processes of this user in this root that have it, but for the caller's own. Returns an exit
 * code. */
int stray_end(const char *mark);

#endif
