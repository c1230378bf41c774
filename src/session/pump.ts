/** A session's bytes and requests, joined to the program that runs for it. */
import type { ExitStatus, WindowSize } from '../base/program.ts'
import type { Exec, OutputFd, OutputSink } from '../engine/engine.ts'
import type { GuestExec } from '../guest/guest.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { FileTap } from '../sftp/file-tap.ts'
import type { SshSession } from '../ssh/session.ts'

/** Before the program runs. There are not many more signals (RFC 4254 §6.10 has 13). */
const MAX_EARLY_SIGNALS = 16

export interface Counters {
  addIn(bytes: number): void
  addOut(bytes: number): void
}

/**
 * Start a program for the session and stay until it ended. Window changes and signals that come before the program runs
 * are kept for it: the last size, each signal once, as the kernel would keep those that are pending.
 *
 * @returns how the program ended; rejects with the HatchwayError that ended it otherwise
 */
export async function pump(
  session: SshSession,
  start: (sink: OutputSink) => Promise<Exec | GuestExec>,
  counters: Counters,
  tap?: FileTap,
): Promise<ExitStatus> {
  const sink: OutputSink = {
    write(fd: OutputFd, chunk: Buffer) {
      counters.addOut(chunk.length)
      tap?.output(fd, chunk)
      return session.write(fd, chunk)
    },
  }
  let exec: Exec | GuestExec | undefined
  let size: WindowSize | undefined
  const signals = new Set<string>()
  session.listen({
    drain: () => exec?.resume(),
    resize(to) {
      size = to
      exec?.resize(to)
    },
    signal(name) {
      if (exec) return exec.signal(name)
      if (signals.size >= MAX_EARLY_SIGNALS) return signals.has(name)
      signals.add(name)
      return true
    },
    // Nobody reads the output any more (`ssh host yes | head`): what a write to a closed pipe would do. The client's side
    // drops what still comes.
    outputClosed: () => void exec?.signal('PIPE'),
    // sshd answers a break on a pty with tcsendbreak(3), which a Linux pty takes and ignores.
    break: () => session.pty !== undefined,
  })
  exec = await start(sink)
  const running = exec
  let over = false
  const remove = onAbort(session.closed, () => running.close())
  try {
    if (size) running.resize(size)
    for (const name of signals) running.signal(name)
    if ('onUnread' in running) running.onUnread(() => session.stopReading())
    const { stdin } = running
    // A callback may come late, when another write waits already.
    const written = () => {
      if (stdin.writableLength === 0) input.resume()
    }
    const input = session.pour({
      write(chunk) {
        if (over) return true
        counters.addIn(chunk.length)
        tap?.input(chunk)
        stdin.write(stdin.writableLength > 0 ? Buffer.from(chunk) : chunk, written)
        return stdin.writableLength === 0
      },
      end: () => void stdin.end(),
    })
    return await running.exit
  } finally {
    remove()
    over = true
    running.close()
    tap?.end()
  }
}
