/** A gateway that wants more of a laptop than its containers: `config-ssh --gateway` as a person runs it, with an ssh that answers so. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { hatchway } from '../support/program.ts'

vi.setConfig({ testTimeout: 120_000 })

let home: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'hw-test-hostile-'))
  for (const name of ['bin', '.ssh']) mkdirSync(join(home, name), { mode: 0o700 })
  // Its hosts are looked for with no more processes than these two.
  const note = `echo x >> '${join(home, 'processes')}'`
  const answer = `cat '${join(home, 'answer.json')}' || exit 255`
  const ssh = `#!/bin/sh\n${note}\n[ "$1" = -G ] && PATH=$REAL exec ssh "$@"\n${answer}\n`
  writeFileSync(join(home, 'bin', 'ssh'), ssh, { mode: 0o755 })
  const keygen = `#!/bin/sh\n${note}\nPATH=$REAL exec ssh-keygen "$@"\n`
  writeFileSync(join(home, 'bin', 'ssh-keygen'), keygen, { mode: 0o755 })
})
afterEach(() => rmSync(home, { recursive: true }))

function answers(suffixes: readonly string[], ...names: string[]) {
  const hosts = names.map((name) => ({ name, running: true }))
  const told = { hostKeys: [`ssh-ed25519 ${'A'.repeat(68)}`], suffixes, hosts }
  writeFileSync(join(home, 'answer.json'), JSON.stringify(told))
}
const configSsh = (...args: string[]) => {
  const path = { PATH: `${join(home, 'bin')}:${process.env.PATH}`, REAL: process.env.PATH ?? '' }
  const own = ['config-ssh', '--ssh-config', join(home, '.ssh', 'config'), '--gateway', 'gw:2222']
  return hatchway([...own, ...args], { HOME: home, ...path })
}
const hosts = () => readFileSync(join(home, '.ssh', 'hatchway', 'gw-2222.config'), 'utf8').match(/^Host .*$/gm)

test('a suffix that the person did not name is not taken, nor a host with it', async () => {
  answers(['.com', '.ctr'], 'github', 'mail.google', 'web')
  const { code, out } = await configSsh('--yes')
  expect(code).toBe(0)
  expect(hosts()).toEqual(['Host github mail.google.ctr web *.ctr'])
  expect(out).toContain('gw:2222 has the suffix .com, which is not taken without --suffix')
  answers(['.com'], 'github', 'mail.google')
  expect((await configSsh('--yes')).code).toBe(0)
  expect(hosts()).toEqual(['Host github'])
})

test('one that the person names is, unless a host of theirs ends so', async () => {
  answers(['.prod'], 'a.b')
  expect((await configSsh('--yes', '--suffix', '.prod')).code).toBe(0)
  expect(hosts()).toEqual(['Host a.b.prod *.prod'])
  writeFileSync(join(home, '.ssh', 'known_hosts'), `[db.prod]:2200 ssh-ed25519 ${'A'.repeat(68)}\n`)
  const { out } = await configSsh('--yes', '--suffix', '.prod')
  expect(out).toContain('NAME.prod is a host you know already')
  expect(hosts()).toBeNull()
  const odd = await configSsh('--yes', '--suffix', '.a *')
  expect([odd.code, odd.err]).toEqual([1, expect.stringContaining('no suffix: ".a *"')])
})

test.each([[], ['--inline']])('a suffix that is new later needs consent %s', async (...inline) => {
  answers([], 'web')
  expect((await configSsh('--yes', ...inline)).code).toBe(0)
  const text = () => readFileSync(join(home, '.ssh', inline.length > 0 ? 'config' : 'hatchway/gw-2222.config'), 'utf8')
  const before = text()
  answers(['.ctr'], 'web')
  const { code, err } = await configSsh(...inline)
  expect([code, err]).toEqual([1, expect.stringContaining('the hosts stay as they are: *.ctr would be new')])
  expect(text()).toBe(before)
  expect((await configSsh('--yes', ...inline)).code).toBe(0)
  expect(text()).toContain('Host web *.ctr')
  // Nothing is new now.
  expect((await configSsh(...inline)).code).toBe(0)
})

test('of very many hosts only some are looked for', async () => {
  answers([], ...Array.from({ length: 3000 }, (_, index) => `container${index}`))
  const { code, out } = await configSsh('--dry-run')
  expect(code).toBe(0)
  expect(out).toContain('gw:2222 names 3000 hosts: only the first 500 are taken')
  expect(readFileSync(join(home, 'processes'), 'utf8').length / 2).toBeLessThan(1100)
})

test('a person without a key is told what is needed', async () => {
  const { code, err } = await configSsh('--yes')
  expect(code).toBe(1)
  expect(err).toContain('gw:2222 told no hosts: ssh ended with 255. Your own ssh must be let in there')
})
