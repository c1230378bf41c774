/** What of a client's SSH_MSG_KEXINIT (RFC 4253, 7.1) the layer reads, and rewrites. */

export interface ClientKexinit {
  readonly kex: readonly string[]
  readonly serverHostKey: readonly string[]
  /** first_kex_packet_follows: the client's next message is for the exchange it guesses. */
  readonly guessFollows: boolean
}

/** After the message number and the cookie. */
const LISTS_AT = 1 + 16
const LISTS = 10

/** Undefined if the message is cut short; ssh2 says so to the client. */
export function readKexinit(message: Buffer): ClientKexinit | undefined {
  const lists: string[][] = []
  let at = LISTS_AT
  while (lists.length < LISTS) {
    const end = endOfList(message, at)
    if (end === undefined) return undefined
    lists.push(message.toString('latin1', at + 4, end).split(','))
    at = end
  }
  const [kex = [], serverHostKey = []] = lists
  return { kex, serverHostKey, guessFollows: (message[at] ?? 0) !== 0 }
}

/** The same message with another list of key exchange methods. */
export function withKexNames(message: Buffer, names: readonly string[]): Buffer {
  const text = Buffer.from(names.join(','), 'latin1')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([message.subarray(0, LISTS_AT), length, text, message.subarray(endOfList(message, LISTS_AT))])
}

function endOfList(message: Buffer, at: number): number | undefined {
  if (at + 4 > message.length) return undefined
  const end = at + 4 + message.readUInt32BE(at)
  return end <= message.length ? end : undefined
}
