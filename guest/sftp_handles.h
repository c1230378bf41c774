/* Open files and directories, by the handles that the client was given. */
#ifndef SFTP_HANDLES_H
#define SFTP_HANDLES_H

#include "wire.h"

enum { HANDLES_MAX = 4096 };
enum handle_kind { HANDLE_FREE, HANDLE_FILE, HANDLE_DIRECTORY };

struct handle {
  int fd;
  u16 generation; /* a handle kept after its CLOSE does not become somebody else's file */
  u8 kind;
  bool append;
};

void handles_open(void);
void handles_close(void);
u32 handles_limit(void); /* how many may be open at once */
struct handle *handle_new(enum handle_kind kind, int fd, bool append); /* NULL: the table is full */
u32 handle_name(const struct handle *h);
/* NULL: a well-formed string that is no handle of this kind (HANDLE_FREE: of any). */
struct handle *take_handle(struct cursor *c, enum handle_kind kind);
int handle_close(struct handle *h);

#endif
