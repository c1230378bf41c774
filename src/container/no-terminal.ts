/**
 * A session that was promised a terminal and gets none: its container has no pty to give. sshd refuses the request, and the
 * client leaves raw mode. Our client was told yes before anybody could know, as it may wait for the answer before it asks for
 * a program: so its keys come raw, and its screen wants CR LF. What its own terminal would do in sshd's case is done here:
 * whole lines, their echo, Ctrl-C, Ctrl-D.
 */
import { Writable } from 'node:stream'
import type { Exec, OutputSink } from '../engine/engine.ts'
import type { GuestExec } from '../guest/guest.ts'

const [CTRL_C, CTRL_D, BACKSPACE, TAB, LF, CR, CTRL_U, DELETE] = [3, 4, 8, 9, 10, 13, 21, 127]
/** As a Linux terminal (n_tty.c): of a longer line the rest is dropped. */
const MAX_LINE_BYTES = 4095
const ERASED = '\b \b'

export interface LineDiscipline {
  /** For the program's output. */
  readonly sink: OutputSink
  /** The program, as the client may use it. */
  join(exec: Exec | GuestExec): Exec
}

export function lineDiscipline(client: OutputSink): LineDiscipline {
  return {
    sink: { write: (fd, chunk) => client.write(fd, withCarriageReturns(chunk)) },
    join(exec) {
      let isFull = false
      let waiting: (() => void) | undefined
      const stdin = new Writable({
        write(chunk: Buffer, _encoding, done) {
          const { sent, echo } = type(chunk)
          // A client that does not read its echo is not read on.
          if (echo !== '' && !client.write(1, Buffer.from(echo, 'latin1'))) isFull = true
          // It may have read on by the time that the program has taken the line.
          const taken = () => {
            if (isFull) waiting = done
            else done()
          }
          if (sent.length > 0 && !exec.stdin.writableEnded) exec.stdin.write(Buffer.from(sent), taken)
          else taken()
        },
        final(done) {
          if (!exec.stdin.writableEnded) exec.stdin.end(Buffer.from(line))
          done()
        },
      })
      // A write after its end is the only one there is.
      stdin.on('error', () => {})

      let line: number[] = []
      function type(keys: Buffer): { sent: number[]; echo: string } {
        const sent: number[] = []
        let echo = ''
        const send = () => {
          sent.push(...line)
          line = []
        }
        for (const key of keys) {
          if (key === CR || key === LF) {
            line.push(LF)
            send()
            echo += '\r\n'
          } else if (key === BACKSPACE || key === DELETE) {
            if (line.length > 0) echo += ERASED
            eraseCharacter(line)
          } else if (key === CTRL_U) {
            for (; line.length > 0; eraseCharacter(line)) echo += ERASED
          } else if (key === CTRL_C) {
            line = []
            echo += '^C\r\n'
            exec.signal('INT')
          } else if (key === CTRL_D) {
            if (line.length > 0) send()
            else exec.stdin.end(Buffer.from(sent.splice(0)))
          } else if (line.length < MAX_LINE_BYTES) {
            line.push(key)
            echo += key >= 32 || key === TAB ? String.fromCharCode(key) : `^${String.fromCharCode(key + 64)}`
          }
        }
        return { sent, echo }
      }

      return {
        stdin,
        exit: exec.exit,
        resume() {
          const done = waiting
          isFull = false
          waiting = undefined
          done?.()
          exec.resume()
        },
        resize() {},
        signal: (name) => exec.signal(name),
        close: () => exec.close(),
        ...('onUnread' in exec && { onUnread: (listener: () => void) => exec.onUnread(listener) }),
      }
    },
  }
}

/** The last character of UTF-8, be it of several bytes. */
function eraseCharacter(line: number[]): void {
  for (let byte = line.pop(); byte !== undefined && (byte & 0xc0) === 0x80; ) byte = line.pop()
}

function withCarriageReturns(bytes: Buffer): Buffer {
  // latin1: every byte stays what it is.
  return bytes.includes(LF) ? Buffer.from(bytes.toString('latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1') : bytes
}
