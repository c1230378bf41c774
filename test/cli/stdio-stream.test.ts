/** Standard streams as one stream: a write is done when its bytes have left, and both ends are passed on. */
import { once } from 'node:events'
import { PassThrough, Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { SlabOutput } from '../../src/bytes/batched-writer.ts'
import { joinStdio } from '../../src/cli/stdio-stream.ts'

test('what a slow reader has not taken yet is not written over', async () => {
  const taken: Buffer[] = []
  const slow = new Writable({
    highWaterMark: 16 * 1024,
    write(chunk: Buffer, _encoding, done) {
      void delay(5).then(() => {
        taken.push(Buffer.from(chunk))
        done()
      })
    },
  })
  const stream = joinStdio(new PassThrough(), slow)
  const output = new SlabOutput(stream, () => {})
  const expected: Buffer[] = []
  for (let i = 0; i < 40; i++) {
    const piece = Buffer.alloc(9000 + i, i)
    expected.push(piece)
    output.write(piece)
    await delay(1)
  }
  stream.end()
  await once(slow, 'finish')
  expect(Buffer.concat(taken).equals(Buffer.concat(expected))).toBe(true)
})

test('input comes to its end, and output is ended', async () => {
  const output = new PassThrough()
  const stream = joinStdio(Readable.from([Buffer.from('in'), Buffer.from('put')]), output)
  let heard = ''
  stream.on('data', (chunk: Buffer) => {
    heard += chunk.toString()
  })
  await once(stream, 'end')
  expect(heard).toBe('input')
  stream.end('output')
  expect((await buffer(output)).toString()).toBe('output')
})

test('an error of either ends it', async () => {
  const output = new PassThrough()
  const stream = joinStdio(new PassThrough(), output)
  output.destroy(new Error('EPIPE'))
  await expect(once(stream, 'close')).rejects.toThrow('EPIPE')
})
