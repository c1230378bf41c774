/** The first name-list of an SSH_MSG_KEXINIT (RFC 4253, 7.1): the client's key exchange methods. */

/** After the message number and the cookie. */
const LIST_AT = 1 + 16

/** Undefined if the message is cut short; ssh2 says so to the client. */
export function readKexNames(kexinit: Buffer): string[] | undefined {
  const list = nameList(kexinit)
  return list && kexinit.toString('latin1', list.start, list.end).split(',')
}

export function withKexNames(kexinit: Buffer, names: readonly string[]): Buffer {
  const list = nameList(kexinit)
  if (!list) return kexinit
  const text = Buffer.from(names.join(','), 'latin1')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([kexinit.subarray(0, LIST_AT), length, text, kexinit.subarray(list.end)])
}

function nameList(kexinit: Buffer): { readonly start: number; readonly end: number } | undefined {
  const start = LIST_AT + 4
  if (kexinit.length < start) return undefined
  const end = start + kexinit.readUInt32BE(LIST_AT)
  return end <= kexinit.length ? { start, end } : undefined
}
