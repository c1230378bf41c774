/**
 * How a program's stdin ends, to the letter of KEP-4006: over v5 a message of 255 and a channel's number closes that channel, and no other;
 * over v4 there is no such message. The server runs real programs, and notes what it is sent.
 */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Engine, Exec } from '../../../src/engine/engine.ts'
import { createKubernetesEngine } from '../../../src/engine/kubernetes/kubernetes.ts'
import { type KubeApi, podJson, startKubeApi } from '../../support/kube-api.ts'
import { until } from '../../support/wait.ts'
import { runIn } from '../run.ts'

const MIB = 1024 * 1024
let api: KubeApi
let engine: Engine
let look: NodeJS.Timeout

beforeEach(async () => {
  api = await startKubeApi()
  api.set(podJson('web'))
  engine = createKubernetesEngine({ access: api.access })
})
afterEach(async () => {
  clearInterval(look)
  await engine.close()
  await api.close()
})

/** What the server is sent on the stream that opens next: of data its length, else the message's bytes. */
function sent(): { readonly bytes: () => number; readonly closes: readonly string[]; readonly after: () => number } {
  const closes: string[] = []
  let [bytes, after] = [0, 0]
  const known = new Set(api.sockets)
  look = setInterval(() => {
    for (const socket of api.sockets) {
      if (known.has(socket)) continue
      known.add(socket)
      socket.prependListener('message', (data: Buffer) => {
        if (data[0] === 255) closes.push([...data].join(' '))
        else if (data[0] === 0) {
          bytes += data.length - 1
          if (closes.length > 0) after += data.length - 1
        }
      })
    }
  }, 1)
  return { bytes: () => bytes, closes, after: () => after }
}

test('v5: stdin ends before the output does, all of which comes, and the exit code', async () => {
  const script =
    'n=$(wc -c); i=0; while [ $i -lt 20 ]; do sleep 0.05; i=$((i + 1)); echo $i $n; done; echo over >&2; exit 7'
  const notes = sent()
  const ran = await runIn(engine, 'main.web.shop', ['sh', '-c', script], { stdin: Buffer.alloc(5 * MIB, 'x') })
  expect(ran.status).toEqual({ code: 7 })
  expect(ran.out.toString()).toBe(Array.from({ length: 20 }, (_, i) => `${i + 1} ${5 * MIB}\n`).join(''))
  expect(ran.err.toString()).toBe('over\n')
  // One message, behind all of the input.
  expect([notes.closes, notes.after()]).toEqual([['255 0'], 0])
})

test('v5: a program that reads to the end of nothing ends; one whose stdin was closed twice is closed once', async () => {
  const notes = sent()
  const ran = await runIn(engine, 'main.web.shop', ['cat'], {
    stdin: null,
    during(exec: Exec) {
      exec.stdin.end()
      exec.stdin.end()
    },
  })
  expect([ran.status, ran.text]).toEqual([{ code: 0 }, ''])
  expect(notes.closes).toEqual(['255 0'])
})

test('v4 has no end of stdin: none is sent, and the program reads on until its exec is closed', async () => {
  api.protocols = ['v4.channel.k8s.io']
  const notes = sent()
  let waited = false
  const ran = await runIn(engine, 'main.web.shop', ['sh', '-c', 'head -c 3; echo; cat; echo never'], {
    stdin: null,
    async during(exec, { out }) {
      exec.stdin.end('abc')
      await until('it has read', () => out().toString() === 'abc\n')
      waited = await Promise.race([
        exec.exit.then(() => false),
        new Promise<boolean>((resolve) => setTimeout(resolve, 500, true)),
      ])
      exec.close()
    },
  })
  expect([waited, ran.text, notes.closes]).toEqual([true, 'abc\n', []])
})
