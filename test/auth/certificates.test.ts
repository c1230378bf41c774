/** User certificates of `ssh-keygen -s` with the real client, against sshd's rules. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseCertificate } from '../../src/auth/certificate.ts'
import { certificateTerms, isSigned } from '../../src/auth/certificate-terms.ts'
import { UNRESTRICTED } from '../../src/auth/restrictions.ts'
import { KeyFolder, type KeyServer, startKeyServer } from './key-server.ts'

const folder = new KeyFolder()
const KINDS: [string, string[]][] = [
  ['ed25519', ['-t', 'ed25519']],
  ['ecdsa-256', ['-t', 'ecdsa', '-b', '256']],
  ['ecdsa-384', ['-t', 'ecdsa', '-b', '384']],
  ['ecdsa-521', ['-t', 'ecdsa', '-b', '521']],
  ['rsa-2048', ['-t', 'rsa', '-b', '2048']],
]
let server: KeyServer

beforeAll(async () => {
  for (const [name, type] of KINDS) {
    await folder.key(name, ...type)
    await folder.key(`ca-${name}`, ...type)
  }
  await folder.key('stranger')
  const trusted = folder.file('trusted', KINDS.map(([name]) => `${folder.publicLine(`ca-${name}`)}\n`).join(''))
  server = await startKeyServer(folder, {
    trustedUserCAKeys: [trusted],
    caSignatureAlgorithms: [
      ...['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'],
      ...['rsa-sha2-512', 'rsa-sha2-256'],
    ] as never,
  })
})
afterAll(async () => {
  await server?.close()
  folder.remove()
})

/** Certifies ed25519 anew, logs in with it. */
async function login(options: string[], user = 'dev@web', authority = 'ca-ed25519') {
  const certificate = await folder.certify(authority, 'ed25519', ...options)
  server.reasons()
  return server.login(folder.file('ed25519'), { certificate, user })
}

describe.each(KINDS)('a certificate of a key of type %s', (key) => {
  it.each(KINDS)('is accepted from an authority of type %s', async (authority) => {
    const certificate = await folder.certify(`ca-${authority}`, key, '-z', '7')
    const identity = await server.login(folder.file(key), { certificate })
    const print = (await folder.keygen('-lf', `${key}.pub`)).split(' ')[1]
    const ca = (await folder.keygen('-lf', `ca-${authority}.pub`)).split(' ')[1]
    expect(identity).toMatchObject({
      name: `id of ${key}`,
      fingerprint: print,
      source: `ca ${ca}`,
      certificate: { serial: '7', keyId: `id of ${key}`, authority: ca },
      principals: ['dev'],
      restrictions: UNRESTRICTED,
    })
  })
})

describe('a certificate', () => {
  it.each<[string, string[], string, RegExp]>([
    ['of an authority nobody trusts', [], 'stranger', /^$/],
    ['that is over', ['-V', '-2d:-1d'], 'ca-ed25519', /no longer valid/],
    ['that is not yet valid', ['-V', '+1d:+2d'], 'ca-ed25519', /not yet valid/],
    [
      'with an unknown critical option',
      ['-O', 'critical:only-on-sundays'],
      'ca-ed25519',
      /only-on-sundays is not known/,
    ],
    [
      'from an address that source-address has not',
      ['-O', 'source-address=10.0.0.0/8'],
      'ca-ed25519',
      /source-address/,
    ],
    ['signed by RSA with SHA-1', ['-t', 'ssh-rsa'], 'ca-rsa-2048', /signature/],
    ['of a host', ['-h'], 'ca-ed25519', /^$|not a certificate of a user/],
  ])('%s is refused, and the log says why', async (_, options, authority, reason) => {
    expect(await login(options, 'dev@web', authority)).toBeUndefined()
    expect(
      server
        .reasons()
        .filter((told) => !/^$/.test(told))
        .at(0) ?? '',
    ).toMatch(reason)
  })

  it.each<[string[], object]>([
    [['-O', 'clear'], { pty: false, portForwarding: false, agentForwarding: false, x11Forwarding: false }],
    [['-O', 'clear', '-O', 'permit-pty'], { portForwarding: false, agentForwarding: false, x11Forwarding: false }],
    [['-O', 'no-port-forwarding'], { portForwarding: false }],
    [['-O', 'no-agent-forwarding'], { agentForwarding: false }],
    [['-O', 'no-x11-forwarding'], { x11Forwarding: false }],
    [['-O', 'no-user-rc'], {}],
    [['-O', 'force-command=uptime -p'], { command: 'uptime -p' }],
    [['-O', 'source-address=127.0.0.0/8,10.0.0.0/8'], {}],
    [['-O', 'extension:login@example.com=alice'], {}],
    [['-O', 'no-touch-required', '-O', 'verify-required'], { touchRequired: false, verifyRequired: true }],
    [['-V', '20200101:20400101'], { expiresAt: new Date(2040, 0, 1).getTime() }],
  ])('with %j takes that away, and no more', async (options, restrictions) => {
    const identity = await login(options)
    expect(identity?.restrictions).toEqual({ ...UNRESTRICTED, ...restrictions })
  })

  it.each([
    ['dev@web', 'dev', true],
    ['dev@web', 'ops,dev', true],
    ['dev@web', 'dev@web', true],
    ['dev@web', 'ops', false],
    ['dev@web', 'web', false],
    ['root@web', 'dev', false],
    ['web', 'dev', false],
    ['web', 'web', true],
    ['dev@web', 'de*', false],
  ])('for a login as %s with the principals %s: %s', async (user, principals, accepted) => {
    expect((await login(['-n', principals], user)) !== undefined).toBe(accepted)
  })

  it('without principals is nobody’s', async () => {
    await folder.keygen('-q', '-s', 'ca-ed25519', '-I', 'all', 'ed25519.pub')
    server.reasons()
    expect(await server.login(folder.file('ed25519'), { certificate: folder.file('ed25519-cert.pub') })).toBeUndefined()
    expect(server.reasons()[0]).toMatch(/principal/)
  })

  it('whose bytes were changed is refused', async () => {
    await folder.certify('ca-ed25519', 'ed25519', '-n', 'ops')
    const blob = folder.blob('ed25519-cert')
    blob.write('dev', blob.indexOf('ops'))
    const algorithms = ['ssh-ed25519']
    const before = parseCertificate(folder.blob('ed25519-cert'))
    const after = parseCertificate(blob)
    expect(before?.principals).toEqual(['ops'])
    expect(after?.principals).toEqual(['dev'])
    expect(certificateTerms(before!, '127.0.0.1')).toEqual(UNRESTRICTED)
    expect([isSigned(before!, algorithms), isSigned(after!, algorithms)]).toEqual([true, false])
  })
})

describe('a cert-authority line', () => {
  const lineLogin = async (line: string, options: string[], user = 'dev@web') => {
    const authorizedKeys = [folder.file('authorized', `${line} ${folder.publicLine('stranger')}\n`)]
    const own = await startKeyServer(folder, { authorizedKeys })
    try {
      const certificate = await folder.certify('stranger', 'ed25519', ...options)
      return { identity: await own.login(folder.file('ed25519'), { certificate, user }), reasons: own.reasons() }
    } finally {
      await own.close()
    }
  }

  it('accepts certificates for the user asked for, under the line’s own name', async () => {
    const { identity } = await lineLogin('cert-authority', [])
    expect(identity).toMatchObject({ name: 'stranger', principals: ['dev'] })
  })

  it('with principals= accepts those, and counts no others', async () => {
    const { identity } = await lineLogin('cert-authority,principals="ops,root"', ['-n', 'ops,admin'])
    expect(identity?.principals).toEqual(['ops'])
    expect((await lineLogin('cert-authority,principals="ops"', ['-n', 'dev'])).identity).toBeUndefined()
  })

  it('and its certificate both take away', async () => {
    const { identity } = await lineLogin('cert-authority,no-pty,expiry-time="20390101Z",permitopen="db:1"', [
      ...['-O', 'no-port-forwarding', '-O', 'force-command=true', '-V', 'always:20400101'],
    ])
    expect(identity?.restrictions).toEqual({
      ...UNRESTRICTED,
      pty: false,
      portForwarding: false,
      command: 'true',
      permitOpen: [['db:1']],
      expiresAt: Date.UTC(2039, 0, 1),
    })
  })

  it('and a certificate that force different commands are refused', async () => {
    const { identity, reasons } = await lineLogin('cert-authority,command="a"', ['-O', 'force-command=b'])
    expect(identity).toBeUndefined()
    expect(reasons.join()).toMatch(/forced commands/)
    expect((await lineLogin('cert-authority,command="a"', ['-O', 'force-command=a'])).identity).toBeDefined()
  })

  it('with from= holds for its certificates', async () => {
    expect((await lineLogin('cert-authority,from="10.0.0.0/8"', [])).identity).toBeUndefined()
  })

  it('is needed: the bare key of an authority accepts none', async () => {
    expect((await lineLogin('', [])).identity).toBeUndefined()
  })
})
