#include "textfile.h"

enum { TOTAL_MAX = 1 << 20 };

bool textfile_open(struct textfile *f, const char *path) {
  struct stat st;
  f->fd = sys_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0); /* a FIFO without a writer would block */
  f->start = f->end = f->total = 0;
  f->skipping = false;
  if (f->fd < 0) return false;
  if (sys_fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode)) return true;
  sys_close(f->fd);
  return false;
}

static void cut_comment(char *line) {
  for (; *line; line++)
    if (*line == '#' || *line == ';') *line = 0;
}

char *textfile_line(struct textfile *f) {
  for (;;) {
    for (u32 i = f->start; i < f->end; i++) {
      if (f->buffer[i] != '\n') continue;
      char *line = f->buffer + f->start;
      f->buffer[i] = 0;
      f->start = i + 1;
      if (f->skipping) {
        f->skipping = false;
        continue;
      }
      cut_comment(line);
      return line;
    }
    memmove(f->buffer, f->buffer + f->start, f->end - f->start);
    f->end -= f->start;
    f->start = 0;
    if (f->end == sizeof f->buffer - 1) f->end = 0, f->skipping = true;
    long n = f->total < TOTAL_MAX ? sys_read(f->fd, f->buffer + f->end, sizeof f->buffer - 1 - f->end) : 0;
    if (n > 0) {
      f->end += (u32)n, f->total += (u32)n;
      continue;
    }
    sys_close(f->fd);
    f->total = TOTAL_MAX;
    if (f->end == 0 || f->skipping) return NULL;
    f->buffer[f->end] = 0; /* a last line without its newline */
    f->end = 0;
    cut_comment(f->buffer);
    f->fd = -1;
    return f->buffer;
  }
}

char *next_word(char **at) {
  char *s = *at;
  while (is_space(*s)) s++;
  if (!*s) return NULL;
  char *word = s;
  while (*s && !is_space(*s)) s++;
  if (*s) *s++ = 0;
  *at = s;
  return word;
}
