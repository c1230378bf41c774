/** A template's image that is not here yet, pulled from a registry of this test's own on loopback. */
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { docker } from '../support/containers.ts'
import { startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { makeKeys, makeSshClient } from '../support/ssh.ts'

/** The registry API as far as a pull of one image of one layer needs it. */
async function startRegistry(image: string, dir: string): Promise<{ name: string; close(): void }> {
  const saved = join(dir, 'image.tar')
  await docker('save', '-o', saved, image)
  const inside = async (path: string) => (await run('tar', ['-xOf', saved, path])).stdout
  const [entry] = z
    .array(z.object({ Config: z.string(), Layers: z.array(z.string()).length(1) }))
    .parse(JSON.parse((await inside('manifest.json')).toString()))
  const config = await inside(entry?.Config ?? '')
  const layer = gzipSync(await inside(entry?.Layers[0] ?? ''))
  const digest = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  const part = (mediaType: string, bytes: Buffer) => ({ mediaType, size: bytes.length, digest: digest(bytes) })
  const type = 'application/vnd.docker.distribution.manifest.v2+json'
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: type,
      config: part('application/vnd.docker.container.image.v1+json', config),
      layers: [part('application/vnd.docker.image.rootfs.diff.tar.gzip', layer)],
    }),
  )
  const blobs = new Map([config, layer].map((bytes) => [digest(bytes), bytes]))
  const server = createServer((request, response) => {
    const [, kind, ref = ''] = /^\/v2\/(?:small\/(manifests|blobs)\/(.*))?$/.exec(request.url ?? '') ?? []
    const body = kind === 'manifests' ? manifest : kind === 'blobs' ? blobs.get(ref) : Buffer.from('{}')
    response.setHeader('Docker-Distribution-Api-Version', 'registry/2.0')
    if (!body) return response.writeHead(404).end()
    response.setHeader('Content-Type', kind === 'manifests' ? type : 'application/octet-stream')
    response.setHeader('Docker-Content-Digest', digest(body))
    response.setHeader('Content-Length', body.length)
    response.end(request.method === 'HEAD' ? undefined : body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { name: `127.0.0.1:${port}/small:1`, close: () => server.close() }
}

let dir: string
let registry: Awaited<ReturnType<typeof startRegistry>>

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hw-test-pull-'))
  // Of its own layer: one that the engine has already would not be pulled.
  const root = join(dir, 'root.tar')
  await writeFile(join(dir, 'fresh'), `${process.pid} ${Date.now()}`)
  const id = await docker('create', 'hatchway-busybox:latest')
  await docker('export', '-o', root, id)
  await docker('rm', id)
  await run('tar', ['-rf', root, '-C', dir, 'fresh'])
  await docker('import', root, `hw-test-pull:${process.pid}`)
  registry = await startRegistry(`hw-test-pull:${process.pid}`, dir)
  await docker('rmi', `hw-test-pull:${process.pid}`)
}, 120_000)
afterAll(async () => {
  registry?.close()
  await run('docker', ['rmi', '-f', registry?.name ?? ''], { limit: 60_000 })
  await rm(dir, { recursive: true, force: true })
}, 60_000)

test.each(['docker', 'cli'] as const)(
  'an image that is missing is pulled, and its progress shown (%s)',
  async (engine) => {
    const config = join(dir, `${engine}.yaml`)
    await writeFile(config, `templates: { small: { image: '${registry.name}' } }\n`)
    const keys = await makeKeys()
    const gateway = await startGateway({ keys, engine, args: ['--config', config] })
    const client = await makeSshClient(gateway.target('+small'))
    try {
      const { code, stdout, stderr } = await client.exec('cat /fresh', { limit: 90_000 })
      expect([code, stdout.toString()]).toEqual([0, await readFile(join(dir, 'fresh'), 'utf8')])
      expect(stderr.toString()).toContain(`hatchway: pulling image ${registry.name} ...\n`)
      expect(stderr.toString()).toContain(`hatchway: pulling image ${registry.name}: 1 of 1 layers`)
      // It is there now.
      const again = await client.exec('true', { limit: 60_000 })
      expect([again.code, again.stderr.toString().includes('pulling')]).toEqual([0, false])
    } finally {
      await client.close()
      await gateway.stop()
      await keys.close()
      await run('docker', ['rmi', '-f', registry.name], { limit: 60_000 })
    }
  },
  180_000,
)
