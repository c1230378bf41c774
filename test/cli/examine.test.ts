/** Checks of `hatchway doctor` that no run of the whole can bring about. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { examineClock } from '../../src/cli/examine-clock.ts'
import { examineSsh } from '../../src/cli/examine-ssh.ts'
import { withInclude } from '../../src/cli/ssh-config/include.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-examine-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

it('a clock from before the program was written fails, and says why it matters', async () => {
  expect(await examineClock(new Date(0))).toMatchObject({
    state: 'fail',
    advice: expect.stringContaining('certificates'),
  })
  expect((await examineClock()).state).not.toBe('fail')
})

it('the ssh configuration: not set up, set up, and half taken away', async () => {
  const config = async () => (await examineSsh(folder)).find(({ check }) => check === 'ssh config')
  expect(await config()).toMatchObject({ state: 'ok', found: expect.stringContaining('has not been run') })

  const entries = join(folder, 'hatchway', 'config')
  await writeFile(join(folder, 'config'), withInclude('Host other\n', entries))
  expect(await config()).toMatchObject({ state: 'warn', advice: expect.stringContaining('--uninstall') })

  await mkdir(join(folder, 'hatchway'))
  await writeFile(entries, '')
  expect(await config()).toMatchObject({ state: 'ok', found: expect.stringContaining('includes') })
})

it('the ssh client is named with its version', async () => {
  const client = (await examineSsh(folder)).find(({ check }) => check === 'ssh client')
  expect(client).toMatchObject({ state: 'ok', found: expect.stringMatching(/^OpenSSH_/) })
})
