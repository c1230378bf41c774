/** `hatchway hash-password` and `hatchway totp-secret`, as a person and as a script use them. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { verifyPassword } from '../../src/auth/password-hash.ts'
import { parsePasswordHash, parseTotp } from '../../src/config/secrets.ts'
import { MAIN } from '../support/program.ts'
import { openTerminal } from '../support/pty.ts'
import { run } from '../support/run.ts'

async function isHashOf(text: string, password: string): Promise<boolean> {
  const hash = parsePasswordHash(text.trim())
  return hash !== undefined && (await verifyPassword(Buffer.from(password), hash, new AbortController().signal))
}

describe('hash-password', () => {
  const piped = async (input: string) => {
    const { code, stdout, stderr } = await run(process.execPath, [MAIN, 'hash-password'], { input })
    return { code, out: stdout.toString(), err: stderr.toString() }
  }

  it.each(['pass wörd\n', 'pass wörd', 'pass wörd\r\nmore\n'])('reads the first line of a pipe: %j', async (input) => {
    const { code, out, err } = await piped(input)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(await isHashOf(out, 'pass wörd')).toBe(true)
  })

  it.each(['', '\n', `${'x'.repeat(1025)}\n`])('refuses what could never be a password', async (input) => {
    expect(await piped(input)).toMatchObject({ code: 1, out: '', err: expect.stringMatching(/^hatchway: .*password/) })
  })

  it('asks twice at a terminal and shows neither', async () => {
    const terminal = openTerminal(process.execPath, [MAIN, 'hash-password'])
    for (const question of ['Password: ', 'Once more: ']) {
      await terminal.expect(question)
      terminal.send('secret\r')
    }
    const text = await terminal.expect(/\$scrypt\$\S+/)
    expect(await terminal.exit()).toBe(0)
    expect(terminal.output()).not.toContain('secret')
    expect(await isHashOf(/\$scrypt\$\S+/.exec(text)?.[0] ?? '', 'secret')).toBe(true)
  })

  it('refuses two that differ, and gives up at Ctrl-C', async () => {
    const differing = openTerminal(process.execPath, [MAIN, 'hash-password'])
    await differing.expect('Password: ')
    differing.send('one\r')
    await differing.expect('Once more: ')
    differing.send('two\r')
    await differing.expect('two different passwords')
    expect(await differing.exit()).toBe(1)
    const interrupted = openTerminal(process.execPath, [MAIN, 'hash-password'])
    await interrupted.expect('Password: ')
    interrupted.send('\x03')
    expect(await interrupted.exit()).toBe(130)
  })
})

describe('totp-secret', () => {
  it('prints a new secret each time, as the configuration and an app take it', async () => {
    const lines = await Promise.all([1, 2].map(() => run(process.execPath, [MAIN, 'totp-secret', 'alice@corp'])))
    const [one = '', two = ''] = lines.map(({ stdout }) => stdout.toString())
    expect(one).toMatch(/^otpauth:\/\/totp\/hatchway:alice%40corp\?secret=[A-Z2-7]{32}&issuer=hatchway\n$/)
    expect(one).not.toBe(two)
    expect(parseTotp(one.trim())).toMatchObject({ digits: 6, period: 30, algorithm: 'sha1' })
  })

  it('draws it for a phone at a terminal', async () => {
    const terminal = openTerminal(process.execPath, [MAIN, 'totp-secret', 'alice'])
    expect(await terminal.exit()).toBe(0)
    expect(terminal.output()).toMatch(
      /█▀▀▀▀▀▀▀█[\s\S]*otpauth:[\s\S]*hatchway: the otpauth.* is the totpSecret of alice under users:/,
    )
  })

  it('into a file the secret only, with the picture on the terminal and a word about the mode', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hw-test-totp-'))
    const file = join(folder, 'alice.totp')
    const written = async (mask: string) => {
      const script = `umask ${mask}; rm -f '${file}'; '${process.execPath}' '${MAIN}' totp-secret alice >'${file}'`
      const terminal = openTerminal('/bin/sh', ['-c', script])
      expect(await terminal.exit()).toBe(0)
      return terminal.output()
    }
    try {
      expect(await written('022')).toMatch(/█▀▀▀▀▀▀▀█[\s\S]*hatchway: others may read the file .*chmod 600/)
      expect(readFileSync(file, 'utf8')).toMatch(/^otpauth:\S+\n$/)
      const safe = await written('077')
      expect(safe).not.toContain('chmod')
      expect(safe).toContain('totpSecretFile of alice under users:')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('refuses what cannot be a name', async () => {
    const { code, stderr } = await run(process.execPath, [MAIN, 'totp-secret', 'a=b'])
    expect({ code, err: stderr.toString() }).toEqual({ code: 2, err: 'hatchway: "a=b" cannot be the name of a user\n' })
  })
})
