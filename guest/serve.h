#ifndef SERVE_H
#define SERVE_H

#include "chan.h"
#include "proc.h"

int serve(void); /* the exit code */

#endif
