/** The first entry of a tar stream (ustar, pax and GNU long names skipped), as the engines' copy calls give one. */

export type TarEntry =
  | { readonly type: 'file'; readonly content: Buffer }
  | { readonly type: 'link'; readonly target: string }
  /** A directory, device, FIFO, ... */
  | { readonly type: 'other' }

const BLOCK_BYTES = 512

export function firstEntry(tar: Buffer): TarEntry | undefined {
  let longLink: string | undefined
  for (let offset = 0; offset + BLOCK_BYTES <= tar.length; ) {
    const header = tar.subarray(offset, offset + BLOCK_BYTES)
    if (header[0] === 0) return undefined
    const type = String.fromCharCode(header[156] ?? 0)
    // A negative one would lead back to where we were.
    const size = Math.max(0, Number.parseInt(text(header, 124, 12), 8) || 0)
    const body = tar.subarray(offset + BLOCK_BYTES, offset + BLOCK_BYTES + size)
    offset += BLOCK_BYTES + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES
    if (type === 'x') longLink = paxLink(body) ?? longLink
    else if (type === 'K') longLink = text(body, 0, body.length)
    else if (type === 'g' || type === 'L') continue
    else if (type === '2') return { type: 'link', target: longLink ?? text(header, 157, 100) }
    else if (type === '0' || type === '\0') return { type: 'file', content: body }
    else return { type: 'other' }
  }
  return undefined
}

function paxLink(body: Buffer): string | undefined {
  return /(?:^|\n)\d+ linkpath=([^\n]*)\n/.exec(body.toString())?.[1]
}

function text(buffer: Buffer, start: number, length: number): string {
  const field = buffer.subarray(start, start + length)
  const end = field.indexOf(0)
  return field.subarray(0, end < 0 ? undefined : end).toString()
}
