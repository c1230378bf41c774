/**
 * Whose KEXINIT goes first. OpenSSH's client leaves Nagle's algorithm on, and sends its KEXINIT as soon as it has our
 * identification. Ours sent after it carries the acknowledgement; sent before, the client's next packet waits for a delayed
 * one: 40 ms of every login on the same machine, and as much on any way. RFC 4253 §7.1 asks for no order.
 */

/** Of Linux's delayed acknowledgement: waiting longer for the client gains nothing. */
const PATIENCE_MS = 40

/** Holds an OpenSSH client's identification back until what it says next, or for a moment. */
export function clientFirst(heard: (chunk: Buffer) => void): (chunk: Buffer) => void {
  let held: Buffer | undefined
  let isFirst = true
  const letGo = (more: Buffer) => {
    const first = held
    held = undefined
    heard(first ? Buffer.concat([first, more]) : more)
  }
  return (chunk) => {
    if (!isFirst) return letGo(chunk)
    isFirst = false
    const isIdentification =
      chunk.toString('latin1', 0, 15) === 'SSH-2.0-OpenSSH' && chunk.indexOf('\n') === chunk.length - 1
    if (!isIdentification) return heard(chunk)
    held = Buffer.from(chunk)
    setTimeout(() => held && letGo(Buffer.alloc(0)), PATIENCE_MS)
  }
}
