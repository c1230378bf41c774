/** The pipes alone: what node's sockets make of them. */
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createFifoFolder, type FifoFolder, type FifoSet } from '../../../src/engine/containerd/fifos.ts'
import { readFifo } from '../../../src/engine/containerd/output.ts'
import { createStdin } from '../../../src/engine/stdin.ts'
import { sleep, until } from '../../support/wait.ts'

let base: string
let folder: FifoFolder
let set: FifoSet

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'hw-test-output-'))
  folder = createFifoFolder({ base, scope: 'here', abandoned() {} })
  set = await folder.take('a@b', false, AbortSignal.timeout(10_000))
})
afterEach(async () => {
  await set.close()
  await folder.close()
  await rm(base, { recursive: true, force: true })
})

const writer = (path: string) => openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)

test('gives what is written, stops where it is refused, goes on, and ends with the writer', async () => {
  let text = ''
  let ended = false
  let accept = false
  const fd = writer(set.stdout.path)
  set.handOver()
  const output = readFifo(
    set.stdout.fd,
    (chunk) => {
      text += chunk.toString()
      return accept
    },
    () => {
      ended = true
    },
  )
  writeSync(fd, 'one')
  await until('the first', () => text === 'one')
  writeSync(fd, 'two')
  await sleep(200)
  expect(text).toBe('one')
  accept = true
  output.resume()
  await until('the second', () => text === 'onetwo')
  expect(ended).toBe(false)
  closeSync(fd)
  await until('the end', () => ended)
  output.close()
  for (const one of [set.stdin.fd, set.stderr?.fd ?? -1]) closeSync(one)
})

test('a pipe that is not taken holds the writer, and a closed one ends', async () => {
  let ended = false
  const fd = writer(set.stdout.path)
  set.handOver()
  const output = readFifo(
    set.stdout.fd,
    () => false,
    () => {
      ended = true
    },
  )
  const full = () => {
    try {
      for (;;) writeSync(fd, Buffer.alloc(65536))
    } catch (error) {
      return (error as NodeJS.ErrnoException).code
    }
  }
  expect(full()).toBe('EAGAIN')
  output.close()
  output.close()
  await until('the end', () => ended)
  expect(full()).toBe('EPIPE')
  closeSync(fd)
  for (const one of [set.stdin.fd, set.stderr?.fd ?? -1]) closeSync(one)
})

test('a program’s stdin takes what a pipe holds and more, and ends when all is read', async () => {
  const reader = openSync(set.stdin.path, constants.O_RDONLY | constants.O_NONBLOCK)
  set.handOver()
  const target = new net.Socket({ fd: set.stdin.fd, readable: false, writable: true })
  const stdin = createStdin(target, false)
  const sent = Buffer.alloc(3_000_000, 'abc')
  stdin.end(sent)
  let size = 0
  let ended = false
  readFifo(
    reader,
    (chunk) => {
      size += chunk.length
      return true
    },
    () => {
      ended = true
    },
  )
  await until('the end', () => ended)
  expect(size).toBe(sent.length)
  for (const one of [set.stdout.fd, set.stderr?.fd ?? -1]) closeSync(one)
})
