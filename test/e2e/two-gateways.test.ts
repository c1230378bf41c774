/** Two gateways with one host key and one engine, as behind one address: what is each one's own, and what is both's. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { docker } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { startHangingEngine } from '../support/hanging-engine.ts'
import { makeKeys, makeSshClient } from '../support/ssh.ts'
import { twoGateways } from '../support/two-gateways.ts'
import { until } from '../support/wait.ts'

// A name of this run's own: other tests' containers are none of our business.
const T = `g${process.pid}`
const LONG = 180_000
const CONFIG = `
startOnConnect: true
shutdownGrace: 0s
templates:
  ${T}: { image: 'hatchway-busybox:latest', user: dev, perIdentity: 2 }
`
twoGateways('docker')

test(
  'a gateway that stops while its engine hangs ends in seconds; what it leaves is removed at its next start',
  async () => {
    const proxy = await startHangingEngine()
    const home = await mkdtemp(join(tmpdir(), 'hw-test-two-'))
    const keys = await makeKeys()
    const gateways: Gateway[] = []
    const start = async () => {
      const env = { DOCKER_HOST: proxy.endpoint }
      const args = ['--config', join(home, 'c.yaml'), '--keys', join(home, 'keys')]
      const gateway = await startGateway({ keys, engine: 'docker', env, args })
      gateways.push(gateway)
      return gateway
    }
    const label = `hatchway.template=${T}-hang`
    const made = async () => (await docker('ps', '-aq', '--filter', `label=${label}`)).split('\n').filter(Boolean)
    try {
      await writeFile(join(home, 'c.yaml'), CONFIG.replace(`${T}:`, `${T}-hang:`))
      const gateway = await start()
      const client = await makeSshClient(gateway.target(`+${T}-hang`))
      const held = client.exec('sleep 300', { limit: 60_000 })
      await until('it is made', async () => (await made()).length === 1, 60_000)
      await until('the session runs', () => gateway.log().includes('session started'), 60_000)
      proxy.hang(/./)
      const before = Date.now()
      expect(await gateway.stop(20_000)).toBe(0)
      expect(Date.now() - before).toBeLessThan(15_000)
      expect((await held).code).toBe(255)
      expect(gateway.log()).toContain('"msg":"stopped"')
      expect(await made()).toHaveLength(1)
      proxy.hang(undefined)
      await start()
      await until('it is removed', async () => (await made()).length === 0, 60_000)
      await client.close()
    } finally {
      for (const gateway of gateways) await gateway.stop()
      await proxy.close()
      await keys.close()
      await rm(home, { recursive: true, force: true })
      for (const id of await made()) await docker('rm', '-f', id)
    }
  },
  LONG,
)
