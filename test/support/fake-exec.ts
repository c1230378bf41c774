/** An Exec without a program: what was sent to it, and which signals. */
import { Writable } from 'node:stream'
import type { Exec } from '../../src/engine/engine.ts'

export function fakeExec(): { exec: Exec; input(): string; signals: string[] } {
  const signals: string[] = []
  const taken: Buffer[] = []
  const exec: Exec = {
    stdin: new Writable({
      write(chunk: Buffer, _encoding, done) {
        taken.push(Buffer.from(chunk))
        done()
      },
    }),
    exit: new Promise(() => {}),
    resume() {},
    resize() {},
    signal: (name) => signals.push(name) > 0,
    close() {},
  }
  return { exec, signals, input: () => Buffer.concat(taken).toString() }
}
