/** RFC 4254 §6: one "session" channel, as its owner sees it. The protocol stays behind it (session-channel.ts). */

import type { Readable } from 'node:stream'
import type { ExitStatus, WindowSize } from '../base/program.ts'

/** pty-req, RFC 4254 §6.2. */
export interface PtyRequest extends WindowSize {
  /** "": the client has none. A byte that is no UTF-8 is as byte-text.ts has it. */
  readonly term: string
  /** Encoded terminal modes, RFC 4254 §8, as the client sent them, unvalidated. */
  readonly modes: Buffer
}

/** x11-req, RFC 4254 §6.3.1. */
export interface X11Request {
  readonly singleConnection: boolean
  readonly protocol: string
  /** Hex. A secret: never logged. */
  readonly cookie: string
  readonly screen: number
}

/** The request that starts the session's program, RFC 4254 §6.5. The command's bytes are the client's, untouched. */
export type SessionStart =
  | { readonly kind: 'shell' }
  | { readonly kind: 'exec'; readonly command: Buffer }
  | { readonly kind: 'subsystem'; readonly name: string }

/** What may come after the start. */
export interface SessionEvents {
  /** window-change, RFC 4254 §6.7. */
  resize?(size: WindowSize): void
  /** signal, RFC 4254 §6.9: name without "SIG", not checked against a list. True: delivered. */
  signal?(name: string): boolean
  /** break, RFC 4335. Milliseconds. */
  break?(milliseconds: number): boolean
  /** The client reads no more output (eow@openssh.com): what is written from now on is dropped. */
  outputClosed?(): void
  /** The output path drained: the sink may be given more. */
  drain?(): void
}

/**
 * Where a session's input goes. The chunk is lent: it is copied before `write` returns. `false` asks to give no more until
 * `resume`.
 */
export interface InputSink {
  write(chunk: Buffer): boolean
  end(): void
}

/** One session that a client has started: everything asked before the start is in it. */
export interface SshSession {
  readonly start: SessionStart
  /** What the client asked for before it, a listener for -R: its program expects it done. Absent: it is. Never rejects. */
  readonly earlier?: Promise<void>
  readonly pty?: PtyRequest
  readonly x11?: X11Request
  readonly agentForwarding: boolean
  /** Only names that the connection's `allow` accepted; later wins. A byte that is no UTF-8 is as byte-text.ts has it. */
  readonly env: ReadonlyMap<string, string>
  /** The client's bytes, buffered up to the SSH window until read; ends with the client's EOF; destroyed on close. */
  readonly stdin: Readable
  /** From now on `sink` gets them, with what `stdin` still holds; after `stop`, `stdin` again. */
  pour(sink: InputSink): { resume(): void; stop(): void }
  /** Aborts when the channel or the connection is gone, whoever closed it. */
  readonly closed: AbortSignal
  /** Answer the start request with success; nothing may be written before. Idempotent. */
  accept(): void
  /** Answer it with CHANNEL_FAILURE and close. */
  reject(): void
  /** What came before anybody listened is told now; undefined: nobody does, until the next. */
  listen(events: SessionEvents | undefined): void
  /** OutputSink of engine.ts: 1 data, 2 extended data (stderr). Copies; false asks to wait for `drain`. */
  write(fd: 1 | 2, chunk: Buffer): boolean
  /** Tell the client that nobody reads its bytes any more (eow@openssh.com), and drop them. */
  stopReading(): void
  /** Flush what was written, then EOF, exit-status or exit-signal, CLOSE. Resolves when all of it left or the channel died. */
  exit(status: ExitStatus): Promise<void>
}
