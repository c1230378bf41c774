/* Line by line through a small text file that may be hostile: /etc/hosts as a FIFO, without an end, with endless lines. */
#ifndef TEXTFILE_H
#define TEXTFILE_H

#include "str.h"

struct textfile {
  int fd;
  u32 start, end, total;
  bool skipping; /* in a line that is longer than the buffer */
  char buffer[2048];
};
bool textfile_open(struct textfile *f, const char *path);
char *textfile_line(struct textfile *f); /* NULL: no more; closes by itself. Comments are cut off. */
char *next_word(char **at);              /* NULL: no more in the line */

#endif
