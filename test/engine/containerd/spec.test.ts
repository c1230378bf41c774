import { expect, test } from 'vitest'
import { parsePorts } from '../../../src/engine/containerd/ports.ts'
import { execProcess, mountsOf, parseSpec, userOf } from '../../../src/engine/containerd/spec.ts'

const CAPS = ['CAP_CHOWN', 'CAP_KILL']
const spec = parseSpec(
  Buffer.from(
    JSON.stringify({
      ociVersion: '1.0.2',
      process: {
        user: { uid: 1000, gid: 1000, additionalGids: [5555], umask: 18 },
        args: ['sleep', '1'],
        env: ['PATH=/bin', 'A=1', 'TERM=dumb'],
        cwd: '/srv',
        capabilities: { bounding: CAPS, effective: CAPS, permitted: CAPS, ambient: CAPS, inheritable: CAPS },
        noNewPrivileges: true,
        apparmorProfile: 'profile',
        rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      },
      root: { path: 'rootfs', readonly: true },
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/run', type: 'tmpfs', source: 'tmpfs' },
        { destination: '/etc/hosts', type: 'bind', source: '/var/lib/x/hosts', options: ['rbind'] },
        { destination: '/data', type: 'bind', source: '/srv/data', options: ['rbind', 'ro'] },
        { destination: '/cache', type: 'tmpfs', source: 'tmpfs', options: ['size=1m'] },
        { destination: '/more', type: 'none', source: '/srv/more', options: ['bind'] },
      ],
    }),
  ),
)
const ask = (user: string, more: object = {}) =>
  execProcess(spec, { argv: ['id'], user, cwd: '', env: [], ...more }) as Record<string, unknown>

test('an exec is as the container’s own process, but for what is asked', () => {
  expect(ask('', { cwd: '/tmp', env: ['A=2', 'B=x=y', 'NONE', '=x'] })).toMatchObject({
    user: { uid: 1000, gid: 1000, additionalGids: [5555], umask: 18 },
    args: ['id'],
    terminal: false,
    cwd: '/tmp',
    env: ['PATH=/bin', 'TERM=dumb', 'A=2', 'B=x=y'],
    noNewPrivileges: true,
    apparmorProfile: 'profile',
    capabilities: { bounding: CAPS, effective: CAPS, permitted: CAPS, ambient: CAPS, inheritable: CAPS },
    rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
  })
  expect(ask('')).toMatchObject({ cwd: '/srv' })
})

test('users are numbers, with the groups that are named and no others', () => {
  expect(ask('0').user).toEqual({ uid: 0, gid: 0, additionalGids: [0] })
  expect(ask('7:8').user).toEqual({ uid: 7, gid: 8, additionalGids: [8] })
  expect(ask('7:8,9,10').user).toEqual({ uid: 7, gid: 8, additionalGids: [8, 9, 10] })
  for (const user of ['dev', '0:wheel', '99999999999', '2147483648', '1:4294967295', '-1', '1:', '1:2,', ' 1', '1\n']) {
    expect(() => ask(user), user).toThrow(expect.objectContaining({ code: 'USER_NOT_FOUND' }))
  }
})

test('what the container’s own user may is not handed to another one', () => {
  for (const user of ['1001:1001', '0:0']) {
    expect(ask(user).capabilities).toEqual({
      bounding: CAPS,
      effective: CAPS,
      permitted: CAPS,
      ambient: [],
      inheritable: [],
    })
  }
  expect(ask('1000:1000').capabilities).toMatchObject({ ambient: CAPS })
})

test('a terminal has its size, and a TERM where nobody set one', () => {
  expect(ask('', { tty: { cols: 121, rows: 37 } })).toMatchObject({
    terminal: true,
    consoleSize: { width: 121, height: 37 },
    env: ['PATH=/bin', 'A=1', 'TERM=dumb'],
  })
  const bare = parseSpec(Buffer.from('{"process":{"user":{"uid":0,"gid":0},"args":["x"],"cwd":"/"}}'))
  expect(execProcess(bare, { argv: ['sh'], user: '', cwd: '', env: [], tty: { cols: 0, rows: 0 } })).toMatchObject({
    env: ['TERM=xterm'],
  })
})

test('tells of mounts that somebody asked for, and of the user', () => {
  expect(mountsOf(spec)).toEqual([
    { type: 'bind', source: '/srv/data', destination: '/data', readOnly: true },
    { type: 'tmpfs', source: '', destination: '/cache', readOnly: false },
    { type: 'bind', source: '/srv/more', destination: '/more', readOnly: false },
  ])
  expect([userOf(spec), spec.root.readonly]).toEqual(['1000:1000', true])
})

test('a specification that is none is an error, and one of another system has nothing in it', () => {
  for (const text of ['', 'null', '[]', '{']) {
    expect(() => parseSpec(Buffer.from(text)), text).toThrow(expect.objectContaining({ code: 'ENGINE_ERROR' }))
  }
  const windows = parseSpec(Buffer.from('{"process":{"user":{"username":"x"},"cwd":7},"mounts":5,"root":[]}'))
  expect([userOf(windows), mountsOf(windows), windows.process.cwd]).toEqual(['0:0', [], '/'])
})

test('ports are those of nerdctl’s label, whatever is in it', () => {
  const label = '[{"HostPort":8080,"ContainerPort":80,"Protocol":"tcp","HostIP":"127.0.0.1"}]'
  expect(parsePorts(label)).toEqual([{ containerPort: 80, protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080 }])
  for (const text of [undefined, '', '{}', '[1]', 'null']) expect(parsePorts(text)).toEqual([])
})
