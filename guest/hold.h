/* The holder container's program. */
#ifndef HOLD_H
#define HOLD_H

int hold(const char *milliseconds);

#endif
