/** A live guest helper as the rest of Hatchway uses it: programs, sockets and sftp for one (container, user). */

import { clientText } from '../base/printable.ts'
import type { WindowSize } from '../base/program.ts'
import type { InsideEnd } from '../bytes/relay.ts'
import type { Exec, OutputSink } from '../engine/engine.ts'
import type { STAGES } from './frames.ts'

/** A program to run: everything is decided, nothing is interpreted on the way. */
export interface GuestSpawn {
  /** With a slash: executed as it is; without: found on the PATH of the resulting environment. */
  readonly program: string
  /** argv[0] included, so that a login shell is "-bash". Bytes are the client's, no NUL inside. */
  readonly argv: readonly (string | Buffer)[]
  /** "KEY=value" on top of the container's environment; "KEY" alone removes. */
  readonly env: readonly (string | Buffer)[]
  /** "": where the helper is. */
  readonly cwd: string
  /** What the program's stderr says, before ": " and the reason, when `cwd` cannot be entered; it runs in "/" then. */
  readonly cwdWarning: string
  readonly tty?: GuestTty
  /** onDisconnect: killTree. A parent of its own watches the session, so that close() reaches every descendant. */
  readonly killTree: boolean
  /** Leave the helper's own program open as descriptor 3: `/proc/self/fd/3 scp ...` stands in for a missing scp. */
  readonly standIn?: boolean
}

export interface GuestTty extends WindowSize {
  /** RFC 4254 §8, as the client sent them; the helper takes what it knows and skips the rest. */
  readonly modes: Buffer
}

/** An engine's Exec, with what only the guest road can tell. */
export interface GuestExec extends Exec {
  /** Once, when the program closed its stdin: what still comes is dropped (eow@openssh.com). */
  onUnread(listener: () => void): void
}

export type GuestAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

export type GuestBind =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | {
      readonly kind: 'unix'
      readonly path: string
      readonly mode: number
      /** A socket that is there is removed first (StreamLocalBindUnlink). */
      readonly unlink: boolean
      /** Make the directory it is in, mode 0700, which must not be there, and remove it at the end. */
      readonly ownDirectory?: boolean
    }

export interface SftpSpawn {
  /** Where relative paths begin. */
  readonly directory: string
  /** Whatever changes something is answered with "permission denied". */
  readonly readOnly: boolean
}

/** Someone inside connected to a listener. The peer's address is the container's claim; "" and 0 for unix. */
export interface GuestAccepted {
  readonly end: InsideEnd
  readonly address: string
  readonly port: number
}

export interface GuestListener {
  /** The bound port; 0 for unix. */
  readonly port: number
  /** Resolves when nobody can connect any more. Idempotent. */
  close(): Promise<void>
  /** Resolves when the listener ended, whoever ended it. */
  readonly ended: Promise<void>
}

/**
 * Every call rejects with GuestRefusal when the helper said no, and with HatchwayError (GUEST_FAILED, CONTAINER_GONE)
 * when there is no helper any more. The ends of connect and accept are over when the helper is.
 */
export interface Guest {
  /** Resolves once the program runs (execve succeeded). */
  spawn(spec: GuestSpawn, sink: OutputSink, signal: AbortSignal): Promise<GuestExec>
  connect(address: GuestAddress, signal: AbortSignal): Promise<InsideEnd>
  listen(bind: GuestBind, onAccept: (accepted: GuestAccepted) => void, signal: AbortSignal): Promise<GuestListener>
  /** SFTP v3 spoken by the helper: stdin takes packets, the sink gets them on fd 1, log lines on 2. */
  sftp(options: SftpSpawn, sink: OutputSink, signal: AbortSignal): Promise<GuestExec>
  /** What the program at the other end claims of itself. */
  readonly identity: { readonly uid: number; readonly gid: number }
  /** Aborts when the helper is gone; its reason is the HatchwayError that every session of it got. */
  readonly ended: AbortSignal
}

export type GuestStage = (typeof STAGES)[number]

/** The helper answered FAIL: a fact of the container, not a fault of the helper. */
export class GuestRefusal extends Error {
  readonly stage: GuestStage
  /** "ENOENT", ...; "E<number>" where the number has no name here. */
  readonly errno: string

  constructor(stage: GuestStage, errno: string, what: string) {
    super(`${clientText(what)}: ${errno}`)
    this.name = 'GuestRefusal'
    this.stage = stage
    this.errno = errno
  }

  /** The helper is at a limit (pids, memory, descriptors, channels): the same request on the plain road may pass. */
  get exhausted(): boolean {
    return this.stage === 'resources' || ['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE', 'ENOSPC'].includes(this.errno)
  }
}
