/* What source and sink share: options, the conversation on stdin and stdout, one path that grows and shrinks. */
#ifndef SCP_RUN_H
#define SCP_RUN_H

#include "sftp_modes.h"
#include "str.h"

enum {
  SCP_PATH_SIZE = 4096,
  SCP_LINE_SIZE = 2048, /* scp.c's; a control record that is longer is broken in it too */
  SCP_BLOCK = 256 << 10,
};
enum { SCP_BITS = 07777 }; /* of a mode, what travels */

struct scp {
  bool recursive, keep_times, want_directory;
  u32 umask;
  u32 errors; /* exit status 1 if any */
  char path[SCP_PATH_SIZE];
  size_t length;
  char line[SCP_LINE_SIZE];
  u8 block[SCP_BLOCK];
};
extern struct scp scp;

void scp_source(char *const *paths, int n);
void scp_sink(void); /* into scp.path */

/* These end the program when the peer is gone. */
void scp_send(const void *at, size_t n);
void scp_ok(void);                /* the byte 0 */
void scp_receive(void *to, size_t n);
bool scp_answered(void);          /* the peer's answer: false after its complaint, and the end after a fatal one */
char *scp_record(void);           /* a control record without its newline; NULL: the peer has no more */

/* "scp: path: why", told to the peer, who prints it; counts as an error. */
void scp_complain(const char *what, const char *why);
void scp_complain_errno(const char *what, long error);
void scp_give_up(const char *why) __attribute__((noreturn));

/* The path to begin with; false, with a complaint, when it is too long. */
bool scp_start(const char *path);
/* Appends "/name" to the path; false: it does not fit. scp_leave goes back to `length`. */
bool scp_enter(const char *name);
void scp_leave(size_t length);

#endif
