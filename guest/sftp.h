/* The SFTP server, version 3 (draft-ietf-secsh-filexfer-02), with the extensions of OpenSSH's sftp-server, whose answers
 * it gives request by request (test/guest-sftp/differential.test.ts). What differs, and why:
 * - FAILURE says the errno behind it ("Failure: No space left on device"): its user should learn that the disk is full.
 * - An unknown request is answered OP_UNSUPPORTED instead of not at all.
 * - Nothing is opened in a blocking way, as one FIFO would hold up every request behind it: a FIFO opens at once and
 *   its READ fails (as with OpenSSH, which cannot seek in it), one without a reader does not open for writing.
 * - RENAME asks the kernel not to replace (renameat2) before it tries link and unlink: no moment with two names.
 * - copy-data and home-directory report what happened where OpenSSH 9.2 does not.
 * Memory is what the two buffers and the table of handles take; no request makes it grow. */
#ifndef SFTP_H
#define SFTP_H

#include <stdbool.h>

/* Serves until the client's end: 0; 1 after a malformed packet or when the descriptors fail, with a line on stderr.
 * `start` is where relative paths begin; "" or NULL: where the process is. */
int sftp_serve(int in, int out, const char *start);

/* Whatever changes something is answered with "permission denied". */
extern bool sftp_read_only;

/* sftp-server [-eR] [-d directory] [-u umask]: stdin and stdout. */
int sftp_main(int argc, char **argv);

/* A line on stderr. */
void sftp_say(const char *what, const char *detail);

#endif
