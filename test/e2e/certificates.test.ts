/** Certificates, programs and revocation of the configuration, from the gateway's own process into a container. */
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

let keys: Keys
let container: TestContainer
let gateway: Gateway

beforeAll(async () => {
  keys = await makeKeys()
  await chmod(keys.dir, 0o755)
  const file = async (name: string, text: string | Buffer, mode = 0o644) => {
    await writeFile(join(keys.dir, name), text, { mode })
    return join(keys.dir, name)
  }
  // The ECDSA key signs, the RSA key is printed by a program, and neither is in authorized_keys.
  const rsa = await file('rsa-line', `no-pty ${await readFile(`${keys.rsa}.pub`, 'utf8')}`)
  await writeFile(keys.authorized, '')
  container = await startContainer('debian', { name: testName('web') })
  gateway = await startGateway({
    keys,
    engine: 'docker',
    env: {
      HATCHWAY_TRUSTED_USER_CA_KEYS: await file('ca', await readFile(`${keys.ecdsa}.pub`)),
      HATCHWAY_REVOKED_KEYS: await file('revoked', '# nobody yet\n'),
      HATCHWAY_AUTHORIZED_KEYS_COMMAND: `${await file('keys-of', `#!/bin/sh\n[ "$1" = dev ] && cat ${rsa}\n`, 0o755)} %u`,
      ...(process.getuid?.() === 0 && { HATCHWAY_AUTHORIZED_KEYS_COMMAND_USER: 'nobody' }),
    },
  })
}, 120_000)
afterAll(async () => {
  await gateway?.stop()
  await container?.remove()
  await keys?.close()
})

async function login(key: string, user: string, args: readonly string[], extra: readonly string[] = []) {
  const client = await makeSshClient({ ...gateway.target(`${user}@${container.name}`), key }, extra)
  try {
    const { code, stdout } = await client.ssh(args)
    return { code, stdout: stdout.toString().replaceAll('\r', '').trim() }
  } finally {
    await client.close()
  }
}

async function certify(...options: string[]) {
  const made = await run('ssh-keygen', [
    '-q',
    '-s',
    keys.ecdsa,
    '-I',
    'alice',
    '-z',
    '7',
    ...options,
    `${keys.ed25519}.pub`,
  ])
  expect(made.code).toBe(0)
}

test('a certificate enters as the user it names, and as no other', async () => {
  await certify('-n', 'dev')
  expect(await login(keys.ed25519, 'dev', ['t', 'id -un'])).toEqual({ code: 0, stdout: 'dev' })
  expect(await login(keys.ed25519, 'root', ['t', 'id -un'])).toEqual({ code: 255, stdout: '' })
})

test('its force-command and what it does not permit hold', async () => {
  await certify('-n', 'dev', '-O', 'clear', '-O', 'force-command=echo "forced: $SSH_ORIGINAL_COMMAND"')
  expect(await login(keys.ed25519, 'dev', ['t', 'id'])).toEqual({ code: 0, stdout: 'forced: id' })
  await certify('-n', 'dev', '-O', 'clear')
  expect((await login(keys.ed25519, 'dev', ['-tt', 't', 'id -un'])).code).toBe(255)
  expect((await login(keys.ed25519, 'dev', ['t', 'id -un'])).stdout).toBe('dev')
})

test('a program of the configuration lets in a key, with its options', async () => {
  expect(await login(keys.rsa, 'dev', ['t', 'id -un'])).toEqual({ code: 0, stdout: 'dev' })
  // A client that insists on a terminal ends when it is refused.
  expect((await login(keys.rsa, 'dev', ['-tt', 't', 'id -un'])).code).toBe(255)
  expect(await login(keys.rsa, 'root', ['t', 'id -un'])).toEqual({ code: 255, stdout: '' })
})

test('a revoked serial stays outside from then on', async () => {
  await certify('-n', 'dev')
  expect((await login(keys.ed25519, 'dev', ['t', 'true'])).code).toBe(0)
  const spec = join(keys.dir, 'spec')
  await writeFile(spec, 'serial: 7\n')
  const made = await run('ssh-keygen', ['-q', '-k', '-f', join(keys.dir, 'revoked'), '-s', `${keys.ecdsa}.pub`, spec])
  expect(made.code).toBe(0)
  expect((await login(keys.ed25519, 'dev', ['t', 'true'])).code).toBe(255)
  await until('the log says why', () => gateway.log().includes('the certificate is revoked'))
})
