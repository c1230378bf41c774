/** ustar archives of a few small files of root's (POSIX.1-1988), as the engines' copy and import calls take them. */

export interface DeliveredFile {
  /** A folder's ends with a slash. At most 100 bytes. */
  readonly name: string
  readonly mode: number
  readonly bytes?: Buffer
}

const BLOCK_BYTES = 512

export function tarball(entries: readonly DeliveredFile[]): Buffer {
  const blocks = entries.flatMap((entry) => {
    const bytes = entry.bytes ?? Buffer.alloc(0)
    return [head(entry, bytes.length), bytes, Buffer.alloc((BLOCK_BYTES - (bytes.length % BLOCK_BYTES)) % BLOCK_BYTES)]
  })
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK_BYTES)])
}

function head(entry: DeliveredFile, size: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES)
  block.write(entry.name, 0, 100, 'latin1')
  octal(block, 100, 8, entry.mode)
  octal(block, 108, 8, 0)
  octal(block, 116, 8, 0)
  octal(block, 124, 12, size)
  octal(block, 136, 12, Math.floor(Date.now() / 1000))
  block.fill(' ', 148, 156)
  block.write(entry.name.endsWith('/') ? '5' : '0', 156)
  block.write('ustar\x0000', 257, 'latin1')
  let sum = 0
  for (const byte of block) sum += byte
  octal(block, 148, 7, sum)
  return block
}

function octal(block: Buffer, at: number, width: number, value: number): void {
  block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, width, 'latin1')
}
