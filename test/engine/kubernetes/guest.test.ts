/** The helper over the exec of Kubernetes: an API server of the test's own, whose containers are this machine. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { guestUserOf, probeEnvInfo } from '../../../src/container/envinfo.ts'
import type { Engine } from '../../../src/engine/engine.ts'
import { createKubernetesEngine } from '../../../src/engine/kubernetes/kubernetes.ts'
import type { Guest } from '../../../src/guest/guest.ts'
import { createGuestPool, type GuestPool } from '../../../src/guest/pool.ts'
import { type KubeApi, podJson, startKubeApi } from '../../support/kube-api.ts'
import { until } from '../../support/wait.ts'

const soon = () => AbortSignal.timeout(25_000)
const log = { info() {}, warn() {} }

if (process.getuid?.() !== 0) test.skip('helpers of other users (only root can)', () => {})
else
  describe.each([['v5.channel.k8s.io'], ['v4.channel.k8s.io']])('the helper over %s', (protocol) => {
    let api: KubeApi
    let engine: Engine
    let pool: GuestPool

    beforeAll(async () => {
      execFileSync('make', ['-s', '-C', fileURLToPath(new URL('../../../guest', import.meta.url))])
      api = await startKubeApi()
      api.protocols = [protocol]
      api.set(podJson('a'))
      engine = createKubernetesEngine({ access: api.access })
      pool = createGuestPool(engine, { mode: 'require' }, log)
    })
    afterAll(async () => {
      await pool.close()
      await engine.close()
      await api.close()
    })

    async function helper(user: string | undefined): Promise<Guest> {
      const container = await engine.inspect('main.a.shop', soon())
      const { info } = await probeEnvInfo(engine, container, user, soon())
      const guest = await pool.acquire(container, guestUserOf(info), soon())
      if (!guest) throw new Error('there is no helper')
      return guest
    }

    async function ran(guest: Guest, script: string, input?: string) {
      const said: Record<1 | 2, string> = { 1: '', 2: '' }
      const sink = {
        write(fd: 1 | 2, chunk: Buffer) {
          said[fd] += chunk.toString()
          return true
        },
      }
      const spec = {
        program: '/bin/sh',
        argv: ['sh', '-c', script],
        env: [],
        cwd: '/tmp',
        cwdWarning: '',
        killTree: false,
      }
      const exec = await guest.spawn(spec, sink, soon())
      exec.stdin.end(input)
      return { status: await exec.exit, out: said[1], err: said[2] }
    }

    const IDS = 'id -u; id -g; id -G; grep ^CapEff /proc/self/status | cut -f2'

    test('as the container’s own user, with stdin that ends, whatever the protocol', async () => {
      const guest = await helper(undefined)
      expect(await ran(guest, 'cat; sleep 0.2; echo after; exit 7', 'in\n')).toEqual({
        status: { code: 7 },
        out: 'in\nafter\n',
        err: '',
      })
    })

    test('as another user, who has nothing of root’s', async () => {
      const guest = await helper('nobody')
      expect(guest.identity).toEqual({ uid: 65_534, gid: 65_534 })
      const { out } = await ran(guest, IDS)
      expect(out).toBe('65534\n65534\n65534\n0000000000000000\n')
      expect((await ran(guest, 'cat /etc/shadow')).err).toMatch(/denied/i)
    })

    test('as a number that nobody has', async () => {
      expect((await ran(await helper('54321'), IDS)).out).toBe('54321\n0\n0\n0000000000000000\n')
    })

    test('its programs end with the stream, which is told', async () => {
      const guest = await helper('nobody')
      const said: string[] = []
      const sink = { write: (_fd: 1 | 2, chunk: Buffer) => said.push(chunk.toString()) > 0 }
      const spec = {
        program: '/bin/sh',
        argv: ['sh', '-c', 'echo ready; sleep 100'],
        env: [],
        cwd: '/',
        cwdWarning: '',
        killTree: false,
      }
      const exec = await guest.spawn(spec, sink, soon())
      await until('it runs', () => said.join('').includes('ready'))
      const other = await helper('54321')
      for (const socket of api.sockets) socket.terminate()
      await expect(exec.exit).rejects.toMatchObject({ name: 'HatchwayError' })
      await until('both are gone', () => guest.ended.aborted && other.ended.aborted)
    })
  })
