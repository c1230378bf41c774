/** Our line of the protocol version exchange, RFC 4253 §4.2; a module of its own because `hatchway stdio` says it first. */

/**
 * Starts with "OpenSSH" because clients send eow@openssh.com only to such servers (compat.c); no version number, so that
 * no client works around a bug we do not have.
 */
export const IDENT = 'OpenSSH_compatible_Hatchway'

export const GREETING = `SSH-2.0-${IDENT}\r\n`
