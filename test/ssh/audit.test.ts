/** docs/security.md says what is offered; ssh-audit says what it sees. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { PACKAGE_ROOT } from '../../src/base/package-root.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys } from '../support/ssh.ts'

const Names = z.array(z.unknown())
const Report = z.object({ kex: Names, key: Names, enc: Names, mac: Names })

let keys: Keys
let gateway: Gateway
beforeAll(async () => {
  keys = await makeKeys()
  gateway = await startGateway({ keys, engine: 'docker' })
})
afterAll(async () => {
  await gateway?.stop()
  await keys?.close()
})

/** Names in a row of the table, without what is said of them. */
function documented(row: string): string[] {
  const text = readFileSync(join(PACKAGE_ROOT, 'docs/security.md'), 'utf8')
  const cells =
    text
      .split('\n')
      .find((line) => line.startsWith(`| ${row} |`))
      ?.split('|') ?? []
  const [names = ''] = (cells[2] ?? '').split(';')
  return names.split(',').map((name) => name.trim().replace(/ \(.*\)$/, ''))
}

/** Version 2 prints names, version 3 objects. */
function nameOf(entry: unknown): string {
  return typeof entry === 'string' ? entry : z.object({ algorithm: z.string() }).parse(entry).algorithm
}

test('the algorithms offered are those documented, in that order', async () => {
  const { stdout, stderr } = await run('ssh-audit', ['-j', '-p', String(gateway.port), gateway.host], { limit: 60_000 })
  const report = Report.parse(JSON.parse(stdout.toString() || `{"error": ${JSON.stringify(stderr.toString())}}`))
  expect(report.kex.map(nameOf)).toEqual(documented('key exchange'))
  expect(report.key.map(nameOf)).toEqual(documented('host keys'))
  expect(report.enc.map(nameOf)).toEqual(documented('ciphers'))
  expect(report.mac.map(nameOf)).toEqual(documented('MACs'))
})
