/** The output path: order, few writes, no slab used again while a write of it is under way. */
import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { SlabOutput } from '../../src/bytes/batched-writer.ts'

/** A stream whose writes finish when the test says so; what it was given is looked at only then, as a socket does. */
function slowStream() {
  const chunks: Buffer[] = []
  const finish: (() => void)[] = []
  const stream = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _encoding, done) {
      finish.push(() => {
        chunks.push(Buffer.from(chunk))
        done()
      })
    },
  })
  const settle = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    while (finish.length > 0) {
      finish.shift()?.()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { stream, chunks, settle, writes: () => chunks.length }
}

function put(output: SlabOutput, size: number, value: number): void {
  const room = output.alloc(size)
  room.fill(value)
  output.write(room)
}

test('packets of one turn leave in one write, in order with bytes that are not its own', async () => {
  const { stream, chunks, settle, writes } = slowStream()
  const output = new SlabOutput(stream, () => {})
  output.write('SSH-2.0-x')
  put(output, 100, 1)
  output.write(new Uint8Array([9, 9]))
  for (let i = 0; i < 50; i++) put(output, 100, 2)
  await settle()
  const expected = [Buffer.from('SSH-2.0-x'), Buffer.alloc(100, 1), Buffer.from([9, 9]), Buffer.alloc(5000, 2)]
  expect(Buffer.concat(chunks).equals(Buffer.concat(expected))).toBe(true)
  expect(writes()).toBe(1)
})

test('three megabytes keep their bytes though every write is late', async () => {
  const { stream, chunks, settle, writes } = slowStream()
  const output = new SlabOutput(stream, () => {})
  for (let i = 0; i < 96; i++) {
    put(output, 32_000, i)
    if (i % 5 === 0) await Promise.resolve()
  }
  await settle()
  const all = Buffer.concat(chunks)
  expect(all.length).toBe(96 * 32_000)
  for (let i = 0; i < 96; i++) expect(all.subarray(i * 32_000, (i + 1) * 32_000).every((byte) => byte === i)).toBe(true)
  expect(writes()).toBeLessThan(40)
  expect(output.unsent).toBe(0)
})

test('is congested above half a megabyte, and tells when it is no more', async () => {
  const { stream, settle } = slowStream()
  let drained = 0
  const output = new SlabOutput(stream, () => drained++)
  while (!output.congested) put(output, 30_000, 0)
  expect(output.unsent).toBeLessThan(600_000)
  await settle()
  expect(output.congested).toBe(false)
  expect(drained).toBe(1)
})

test('a stream that breaks gives everything back', async () => {
  const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error('broken')) })
  stream.on('error', () => {})
  const output = new SlabOutput(stream, () => {})
  for (let i = 0; i < 20; i++) put(output, 30_000, 0)
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(output.unsent).toBe(0)
})
