/** What a person sees who logs in to a pod: the real client, the built gateway, whatever the API server behind it. */
import { createHash, randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Gateway, startGateway } from '../../support/gateway.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../../support/ssh.ts'

export interface LoginPlace {
  readonly kubeconfig: string
  readonly namespace: string
  /** A pod of one container that runs as root; `dev` is another user in it. */
  readonly pod: string
  readonly dev: { readonly name: string; readonly uid: number }
  /** A deployment of that pod, or the pod's own name. */
  readonly owner: string
  /** Where the users may write. */
  readonly folder: string
  close(): Promise<void>
}

export function logins(name: string, open: () => Promise<LoginPlace>): void {
  describe(name, () => {
    let place: LoginPlace
    let keys: Keys
    let gateway: Gateway
    const closers: (() => Promise<unknown>)[] = []

    const as = async (user: string, extra?: readonly string[]): Promise<SshClient> => {
      const client = await makeSshClient(gateway.target(user), extra)
      closers.push(() => client.close())
      return client
    }
    const said = ({ code, stdout, stderr }: Awaited<ReturnType<SshClient['exec']>>) => [
      code,
      stdout.toString(),
      stderr.toString(),
    ]

    beforeAll(async () => {
      place = await open()
      keys = await makeKeys()
      gateway = await startGateway({
        keys,
        engine: 'kubernetes',
        env: { HATCHWAY_ENGINE_KUBECONFIG: place.kubeconfig, HATCHWAY_ENGINE_NAMESPACES: place.namespace },
      })
    }, 120_000)
    afterAll(async () => {
      for (const close of closers.reverse()) await close()
      await gateway?.stop()
      await keys?.close()
      await place?.close()
    })

    test('every name leads there, and the user is who the policy was asked for', async () => {
      const { pod, namespace, owner, dev } = place
      for (const where of [`main.${pod}.${namespace}`, `${pod}.${namespace}`, `${owner}.${namespace}`]) {
        const client = await as(`${dev.name}@${where}`)
        expect(said(await client.exec('id -u; echo err >&2; exit 7')), where).toEqual([7, `${dev.uid}\n`, 'err\n'])
      }
      expect(said(await (await as(`@${pod}.${namespace}`)).exec('id -u'))).toEqual([0, '0\n', ''])
    })

    test('another user has the groups of their own, no capability, and no way back', async () => {
      const client = await as(`${place.dev.name}@${place.pod}.${place.namespace}`)
      const { stdout } = await client.exec('grep -E "^(CapEff|CapPrm)" /proc/self/status; touch /hw-test-none 2>&1')
      expect(stdout.toString()).toMatch(/^CapPrm:\t0+\nCapEff:\t0+\n.*denied/i)
    })

    test('stdin ends, and what comes after still comes', async () => {
      const client = await as(`${place.dev.name}@${place.pod}.${place.namespace}`)
      const ran = await client.exec('cat; sleep 0.3; echo after; exit 5', { input: 'in\n' })
      expect(said(ran)).toEqual([5, 'in\nafter\n', ''])
    })

    test('20 MB go in and out unchanged', async () => {
      const client = await as(`${place.dev.name}@${place.pod}.${place.namespace}`)
      const bytes = randomBytes(20_000_000)
      const ran = await client.exec('cat', { input: bytes, limit: 60_000 })
      expect(ran.code).toBe(0)
      expect(createHash('sha256').update(ran.stdout).digest('hex')).toBe(
        createHash('sha256').update(bytes).digest('hex'),
      )
    })

    test('sftp and scp carry files', async () => {
      const client = await as(`${place.dev.name}@${place.pod}.${place.namespace}`)
      const bytes = randomBytes(300_000)
      const [local, back] = [join(client.dir, 'local'), join(client.dir, 'back')]
      await writeFile(local, bytes)
      const there = `${place.folder}/hw-test-${process.pid}`
      const copied = await client.sftp(`put ${local} ${there}\nget ${there} ${back}\nrm ${there}\n`)
      expect([copied.code, copied.stderr.toString()]).toEqual([0, ''])
      expect((await readFile(back)).equals(bytes)).toBe(true)
      expect((await client.scp([local, `t:${there}`])).code).toBe(0)
      expect((await client.exec(`wc -c <${there}; rm ${there}`)).stdout.toString().trim()).toBe('300000')
    })

    test('a terminal has its size and is resized', async () => {
      const client = await as(`${place.dev.name}@${place.pod}.${place.namespace}`)
      const terminal = client.terminal(['-t', 't', 'stty size; read line; stty size'], { cols: 91, rows: 33 })
      await terminal.expect(/33 91/)
      terminal.resize(120, 40)
      terminal.send('\r')
      await terminal.expect(/40 120/)
      expect(await terminal.exit()).toBe(0)
    })

    test('ls shows the names that one types, and a name that nobody has is a sentence', async () => {
      const client = await as('ls')
      expect((await client.ssh(['t', 'ls'])).stdout.toString()).toContain(`main.${place.pod}.${place.namespace}`)
      const nobody = await as(`@none.${place.namespace}`)
      expect((await nobody.exec('true')).code).toBe(255)
      const missing = await as(`hw-nobody@${place.pod}.${place.namespace}`)
      expect((await missing.exec('true')).code).toBe(255)
    })

    test('fifty logins at once to one pod', async () => {
      const client = await as(`${place.dev.name}@${place.pod}.${place.namespace}`)
      const all = await Promise.all(
        Array.from({ length: 50 }, (_, index) => client.exec(`echo ${index}; exit ${index}`, { limit: 110_000 })),
      )
      expect(all.map(({ code, stdout }) => [code, stdout.toString()])).toEqual(
        Array.from({ length: 50 }, (_, index) => [index, `${index}\n`]),
      )
    }, 120_000)
  })
}
