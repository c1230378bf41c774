/**
 * Which packets of a key exchange ssh2 is shown. It throws a TypeError where one comes after what ended the connection, or
 * before KEXINIT; and it ends a re-key in which there is anything but the exchange, which RFC 4253 §7.1 forbids and sshd
 * takes (kex.c kex_reset_dispatch leaves all above 49 as they are). asyncssh hides each packet behind an IGNORE, also in
 * a re-key, and if that IGNORE is what begins the re-key, the packet itself comes behind the KEXINIT.
 */
import type { KexProtocol, ParserVerdict } from './internals.ts'

/** RFC 4253 §11.2 to §11.4: may come at any time. They go where all others are counted: a read may be full of them. */
const IDLE: readonly number[] = [2 /* IGNORE */, 3 /* UNIMPLEMENTED */, 4 /* DEBUG */]
/** Of RFC 4250 §4.1.2, the numbers of one method of key exchange, and NEWKEYS. */
const NEWKEYS = 21
const LAST_OF_KEX = 49

/** @throws Error where the packet is empty (sshd ends these, too), or belongs to an exchange that has not begun */
export function inOrder(
  protocol: KexProtocol,
  payload: Buffer,
  stock: (message: Buffer) => ParserVerdict,
): ParserVerdict {
  // Ended by an earlier packet of the same bytes.
  if (protocol._destruct === undefined) return Number.POSITIVE_INFINITY
  return inflated(protocol, payload, (message) => {
    const type = message[0]
    if (type === undefined) throw new Error('an empty packet')
    const again = protocol._kex?.sessionID !== undefined
    // PROTOCOL §1.10 forbids them in the first exchange alone.
    const isIdle = IDLE.includes(type) && (again || !protocol._strictMode)
    if (isIdle || (again && type > LAST_OF_KEX)) return protocol._onPayload(message)
    if (!protocol._kex && type >= NEWKEYS && type <= LAST_OF_KEX) throw new Error(`message ${type} before KEXINIT`)
    return stock(message)
  })
}

/** ssh2 looks into compressed packets where it must: meanwhile they are not inflated again. */
function inflated<T>(protocol: KexProtocol, payload: Buffer, use: (message: Buffer) => T): T {
  const rw = protocol._packetRW
  const { read } = rw
  const message = read.read(payload)
  const done = { read: (bytes: Buffer) => bytes, cleanup: () => read.cleanup() }
  rw.read = done
  try {
    return use(message)
  } finally {
    // NEWKEYS may have put another one there.
    if (rw.read === done) rw.read = read
  }
}
