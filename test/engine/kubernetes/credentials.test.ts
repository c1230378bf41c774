import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createCredentials } from '../../../src/engine/kubernetes/credentials.ts'
import { askPlugin } from '../../../src/engine/kubernetes/exec-plugin.ts'

const signal = new AbortController().signal
let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-plugin-'))
})
afterAll(() => rm(folder, { recursive: true }))

let plugins = 0
async function plugin(script: string) {
  const command = join(folder, `plugin-${plugins++}`)
  await writeFile(command, `#!/bin/sh\n${script}\n`)
  await chmod(command, 0o755)
  return { apiVersion: 'client.authentication.k8s.io/v1', command, args: ['one two', '$HOME'], env: { EXTRA: 'x' } }
}

const credential = (status: object) => `cat <<'E'\n${JSON.stringify({ kind: 'ExecCredential', status })}\nE`

test('a plugin gets its arguments as they are, and is told that nobody answers it', async () => {
  const script = `printf '%s|' "$@" "$EXTRA" "$KUBERNETES_EXEC_INFO" >"$0.seen"; ${credential({ token: 't' })}`
  const asked = await plugin(script)
  expect(await askPlugin(asked, process.env, signal)).toEqual({ token: 't' })
  const [first, second, extra, info] = (await readFile(`${asked.command}.seen`, 'utf8')).split('|')
  expect([first, second, extra]).toEqual(['one two', '$HOME', 'x'])
  expect(JSON.parse(info ?? '')).toMatchObject({ kind: 'ExecCredential', spec: { interactive: false } })
})

test.each([
  ['fails', 'echo why >&2; exit 3', /failed \(exit code 3\)/],
  ['prints something else', 'echo secret-word', /printed no ExecCredential/],
  ['prints an empty one', credential({}), /neither a token nor a certificate/],
  ['prints without end', 'exec cat /dev/zero', /printed too much/],
])('a plugin that %s is a sentence, without what it printed', async (_name, script, sentence) => {
  const asking = askPlugin(await plugin(script), process.env, signal)
  await expect(asking).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
  await expect(asking).rejects.toThrow(sentence)
  await expect(asking).rejects.toSatisfy((error) => !String(error).includes('secret-word'))
})

test('a plugin that hangs is ended', async () => {
  const asking = askPlugin(await plugin('exec sleep 100'), process.env, signal, 300)
  await expect(asking).rejects.toThrow(/did not answer within 0\.3 s/)
})

test('a plugin that is not there is named, with its hint', async () => {
  const missing = { apiVersion: 'v1', command: join(folder, 'none'), args: [], env: {}, installHint: 'get it\nthere' }
  await expect(askPlugin(missing, process.env, signal)).rejects.toThrow(/is not installed: get it there/)
})

test('one plugin run serves all until its credentials run out, or are refused', async () => {
  const soon = new Date(Date.now() + 11_000).toISOString()
  const counting = (expiry: string) =>
    `echo x >>"$0.runs"; n=$(wc -l <"$0.runs"); echo '{"kind":"ExecCredential","status":{"token":"t'$n'","expirationTimestamp":"${expiry}"}}'`
  const asked = await plugin(counting(soon))
  const credentials = createCredentials({ exec: asked })
  const [one, two] = await Promise.all([credentials.now(signal), credentials.now(signal)])
  expect([one.authorization, two.authorization]).toEqual(['Bearer t1', 'Bearer t1'])
  expect(credentials.refused(one)).toBe(true)
  const again = await credentials.now(signal)
  expect(again.authorization).toBe('Bearer t2')
  // Said late, of the one before.
  credentials.refused(one)
  expect((await credentials.now(signal)).authorization).toBe('Bearer t2')
  const over = createCredentials({ exec: await plugin(counting(new Date().toISOString())) })
  await over.now(signal)
  expect((await over.now(signal)).authorization).toBe('Bearer t2')
})

test('a token file is read again when its token was refused', async () => {
  const tokenFile = join(folder, 'token')
  await writeFile(tokenFile, 'first\n')
  const credentials = createCredentials({ tokenFile })
  const first = await credentials.now(signal)
  expect(first.authorization).toBe('Bearer first')
  await writeFile(tokenFile, 'second\n')
  expect((await credentials.now(signal)).authorization).toBe('Bearer first')
  expect(credentials.refused(first)).toBe(true)
  expect((await credentials.now(signal)).authorization).toBe('Bearer second')
})

test('what never changes is not asked for again', async () => {
  const credentials = createCredentials({ token: 'fixed' })
  expect(credentials.refused(await credentials.now(signal))).toBe(false)
})

test('a token file that is missing is a failure, and no longer one when it is there', async () => {
  const tokenFile = join(folder, 'late')
  const credentials = createCredentials({ tokenFile })
  await expect(credentials.now(signal)).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
  await writeFile(tokenFile, 'now')
  expect((await credentials.now(signal)).authorization).toBe('Bearer now')
})
