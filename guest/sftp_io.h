/* Packets in, replies out, over two fixed buffers. Replies are collected while more requests wait, and written before
 * the server would sleep. */
#ifndef SFTP_IO_H
#define SFTP_IO_H

#include "wire.h"

enum {
  PACKET_LIMIT = 256 << 10, /* what sshd's limits@openssh.com says */
  DATA_LIMIT = PACKET_LIMIT - 1024,
};

enum {
  FXP_INIT = 1,
  FXP_VERSION = 2,
  FXP_OPEN = 3,
  FXP_CLOSE = 4,
  FXP_READ = 5,
  FXP_WRITE = 6,
  FXP_LSTAT = 7,
  FXP_FSTAT = 8,
  FXP_SETSTAT = 9,
  FXP_FSETSTAT = 10,
  FXP_OPENDIR = 11,
  FXP_READDIR = 12,
  FXP_REMOVE = 13,
  FXP_MKDIR = 14,
  FXP_RMDIR = 15,
  FXP_REALPATH = 16,
  FXP_STAT = 17,
  FXP_RENAME = 18,
  FXP_READLINK = 19,
  FXP_SYMLINK = 20,
  FXP_STATUS = 101,
  FXP_HANDLE = 102,
  FXP_DATA = 103,
  FXP_NAME = 104,
  FXP_ATTRS = 105,
  FXP_EXTENDED = 200,
  FXP_EXTENDED_REPLY = 201,
};

enum {
  FX_OK,
  FX_EOF,
  FX_NO_SUCH_FILE,
  FX_PERMISSION_DENIED,
  FX_FAILURE,
  FX_BAD_MESSAGE,
  FX_NO_CONNECTION,
  FX_CONNECTION_LOST,
  FX_OP_UNSUPPORTED,
};

void packets_open(int in, int out);
enum incoming { PACKET, PACKETS_END, PACKETS_BROKEN, PACKETS_MALFORMED };
/* The packet behind its length; valid until the next call. */
enum incoming packet_next(struct cursor *packet);

u64 take_u64(struct cursor *c);
/* A string that the kernel can be given: terminated in place. Bytes, of any encoding. */
char *take_path(struct cursor *c);

void reply_begin(u8 type, u32 id);
void reply_u32(u32 value);
void reply_u64(u64 value);
void reply_string(const void *at, size_t n);
void reply_text(const char *s);
u32 reply_room(void); /* what this packet may still take */
u8 *reply_space(u32 n); /* the next n bytes, to be filled directly; n is at most reply_room() */
void reply_used(u32 n); /* of them */
void reply_end(void);
void reply_drop(void); /* this packet is not sent after all */
bool reply_flush(void);

void reply_status(u32 id, u32 status);
void reply_status_text(u32 id, u32 status, const char *text);
void reply_result(u32 id, long result); /* what a system call answered: OK, or its errno */

#endif
