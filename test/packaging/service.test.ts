/** The systemd unit and the container image. */
import { existsSync } from 'node:fs'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { docker, startContainer, testName } from '../support/containers.ts'
import { run } from '../support/run.ts'
import { makeKeys, makeSshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'
import { copySource } from './source.ts'

const UNIT = resolve(import.meta.dirname, '../../packaging/hatchway.service')
const MINUTES = 60_000
const BASE = 'hatchway-trixie:latest'

describe('the systemd unit', () => {
  it.skipIf(!existsSync('/usr/bin/systemd-analyze'))(
    'is one, and is fenced in (skipped: no systemd here)',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'hw-test-unit-'))
      try {
        await copyFile(UNIT, join(folder, 'hatchway.service'))
        const verified = await run('systemd-analyze', ['verify', '--man=no', join(folder, 'hatchway.service')])
        expect([verified.code, verified.stderr.toString()]).toEqual([0, ''])
        // 0 is a service that can do nothing, 10 one that can do all; the network alone is 1.
        const options = ['security', '--offline=true', '--threshold=20', '--no-pager']
        const fenced = await run('systemd-analyze', [...options, join(folder, 'hatchway.service')])
        expect(fenced.code, fenced.stdout.toString()).toBe(0)
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
  )
})

describe('the container image', () => {
  it(
    'is built of Debian packages and serves its neighbours by the socket',
    async () => {
      const root = await run('scripts/openssh10.sh', [], { limit: 10 * MINUTES })
      expect(root.code, root.stderr.toString()).toBe(0)
      const image = `${testName('image')}:latest`
      const name = testName('gateway')
      const state = await mkdtemp('/var/tmp/hw-test-state-')
      const keys = await makeKeys()
      const neighbour = await startContainer('busybox')
      const source = await copySource()
      try {
        // Kept, as the other test images are: with it the engine's build cache holds from run to run.
        if ((await run('docker', ['image', 'inspect', BASE])).code !== 0) {
          const make = `tar -C ${root.stdout.toString().trim()} -c . | docker import - ${BASE}`
          expect((await run('sh', ['-c', make], { limit: 3 * MINUTES })).code).toBe(0)
        }
        // This machine's way to the npm registry may need its own authorities.
        const authorities = '/etc/ssl/certs/ca-certificates.crt'
        if (existsSync(authorities))
          await copyFile(authorities, join(source.folder, 'packaging/ca-certificates/own.crt'))
        const options = ['--build-arg', `BASE=${BASE}`, '-f', 'packaging/Dockerfile', '-t', image, '.']
        const built = await run('docker', ['build', ...options], { cwd: source.folder, limit: 20 * MINUTES })
        expect(built.code, built.stdout.toString().slice(-2000) + built.stderr.toString()).toBe(0)

        // As packaging/compose.yaml has it.
        await docker(
          ...['run', '-d', '--name', name, '--init', '--read-only', '--cap-drop', 'ALL', '-p', '127.0.0.1::2222'],
          ...['--security-opt', 'no-new-privileges:true', '--tmpfs', '/tmp', '--tmpfs', '/run'],
          ...['-v', `${await engineSocket()}:/var/run/docker.sock`, '-v', `${state}:${state}`],
          ...['-v', `${keys.authorized}:/etc/hatchway/authorized_keys:ro`, image],
          ...['serve', '--listen', '0.0.0.0:2222', '--keys', state],
          ...['--authorized-keys', '/etc/hatchway/authorized_keys'],
        )
        await until('it listens', () => listens(name), MINUTES)
        const port = Number((await docker('port', name, '2222/tcp')).split(':').at(-1))
        const target = { host: '127.0.0.1', port, user: `dev@${neighbour.name}`, key: keys.ed25519 }
        const client = await makeSshClient(target)
        try {
          const session = await client.exec('id -un; exit 42', { limit: MINUTES })
          expect([session.stderr.toString(), session.stdout.toString(), session.code]).toEqual(['', 'dev\n', 42])
          expect(await logs(name)).toContain('"road":"guest"')
        } finally {
          await client.close()
        }
      } finally {
        await run('docker', ['rm', '-f', name])
        await neighbour.remove()
        await run('docker', ['rmi', '-f', image], { limit: MINUTES })
        await source.close()
        await keys.close()
        await rm(state, { recursive: true, force: true })
      }
    },
    40 * MINUTES,
  )
})

async function logs(name: string): Promise<string> {
  const { stdout, stderr } = await run('docker', ['logs', name])
  return `${stdout}${stderr}`
}

async function listens(name: string): Promise<boolean> {
  const text = await logs(name)
  const running = await docker('inspect', '-f', '{{.State.Running}}', name)
  if (running !== 'true') throw new Error(`the container ended: ${text}`)
  return text.includes('"listening"')
}

async function engineSocket(): Promise<string> {
  const host = await docker('context', 'inspect', '-f', '{{.Endpoints.docker.Host}}').catch(() => '')
  return (process.env.DOCKER_HOST ?? host).replace(/^unix:\/\//, '') || '/var/run/docker.sock'
}
