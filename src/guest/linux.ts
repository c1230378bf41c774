/** Linux's numbers by name: what runs inside is Linux wherever the gateway runs. */
import type { ExitStatus } from '../base/program.ts'

/** asm-generic/signal.h (x86-64 and arm64 agree). RFC 4254 §6.10's names and what sshd's users also send. */
const SIGNALS: Readonly<Record<string, number>> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  WINCH: 28,
  SYS: 31,
}

/** RFC 4254 §6.10; any other needs a name@domain. */
const RFC_NAMES = new Set([
  'ABRT',
  'ALRM',
  'FPE',
  'HUP',
  'ILL',
  'INT',
  'KILL',
  'PIPE',
  'QUIT',
  'SEGV',
  'TERM',
  'USR1',
  'USR2',
])

export function signalNumber(name: string): number | undefined {
  return Object.hasOwn(SIGNALS, name) ? SIGNALS[name] : undefined
}

/** EXIT of the helper. sshd names unknown signals "SIG@openssh.com" (session.c sig2name); the message tells which. */
export function exitStatus(kind: number, value: number, coreDumped: boolean): ExitStatus {
  if (kind === 0) return { code: value }
  const name = Object.keys(SIGNALS).find((key) => SIGNALS[key] === value)
  if (name !== undefined && RFC_NAMES.has(name)) return { signal: name, coreDumped }
  const message = name === undefined ? `signal ${value}` : `SIG${name}`
  return { signal: 'SIG@openssh.com', coreDumped, message }
}

/** asm-generic/errno.h: what SPAWN, CONNECT and LISTEN can meet. */
const ERRNOS: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  5: 'EIO',
  7: 'E2BIG',
  8: 'ENOEXEC',
  11: 'EAGAIN',
  12: 'ENOMEM',
  13: 'EACCES',
  16: 'EBUSY',
  17: 'EEXIST',
  19: 'ENODEV',
  20: 'ENOTDIR',
  21: 'EISDIR',
  22: 'EINVAL',
  23: 'ENFILE',
  24: 'EMFILE',
  26: 'ETXTBSY',
  28: 'ENOSPC',
  30: 'EROFS',
  36: 'ENAMETOOLONG',
  38: 'ENOSYS',
  40: 'ELOOP',
  95: 'EOPNOTSUPP',
  97: 'EAFNOSUPPORT',
  98: 'EADDRINUSE',
  99: 'EADDRNOTAVAIL',
  101: 'ENETUNREACH',
  104: 'ECONNRESET',
  110: 'ETIMEDOUT',
  111: 'ECONNREFUSED',
  113: 'EHOSTUNREACH',
}

export function errnoName(errno: number): string {
  return ERRNOS[errno] ?? `E${errno}`
}
