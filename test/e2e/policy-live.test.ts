/** Rules that change while people are inside, and somebody else who decides. */
import { spawn } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RuleInput } from '../../src/config/rules.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { questionSchema } from '../../src/policy/external-schema.ts'
import { docker, startContainer, type TestContainer, testMark } from '../support/containers.ts'
import { MAIN } from '../support/gateway.ts'
import { type PolicyWorld, policyWorld } from '../support/policy.ts'
import { freePort } from '../support/port.ts'
import { run } from '../support/run.ts'
import { until } from '../support/wait.ts'

let container: TestContainer
beforeAll(async () => {
  container = await startContainer('debian', { args: ['--label', 'hw-team=blue'] })
})
afterAll(() => container?.remove())

/** Says hello to who connects, and keeps them. */
const LISTENER = `import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 7070))
s.listen()
kept = []
while True:
    kept.append(s.accept()[0])
    kept[-1].send(b"hello")`

const heard = (world: PolicyWorld, msg: RegExp) => world.log().filter((line) => msg.test(String(line.msg)))

describe('rules that change', () => {
  const everything: RuleInput = { users: ['*'] }
  let world: PolicyWorld
  beforeAll(async () => {
    world = await policyWorld({ alice: '', bob: '' }, { endWithdrawn: true, rules: [everything] })
  })
  afterAll(() => world?.close())

  const reloads = () => heard(world, /^(configuration and keys reloaded|the configuration cannot be used)/).length
  async function change(config: Parameters<PolicyWorld['configure']>[0]): Promise<void> {
    const before = reloads()
    await world.configure(config)
    await until('the file is read', () => reloads() > before, 15_000)
  }
  const can = async (person: string) =>
    (await (await world.as(person, `dev@${container.name}`)).exec('true')).code === 0

  test('a new file counts for the next login, without a restart', async () => {
    expect([await can('alice'), await can('bob')]).toEqual([true, true])
    await change({ endWithdrawn: true, rules: [{ ...everything, who: { identities: ['alice'] } }] })
    expect([await can('alice'), await can('bob')]).toEqual([true, false])
    await change({ endWithdrawn: true, rules: [everything] })
    expect(await can('bob')).toBe(true)
  })

  test('a broken file changes nothing and says file, line and key', async () => {
    await change('rules:\n  - users: [dev]\n    actions: { exe: true }\n')
    expect(await can('bob')).toBe(true)
    const problems = String(heard(world, /cannot be used/).at(-1)?.problems)
    expect(problems).toContain(`${world.config}:3: rules.0.actions.exe: there is no such key; is exec meant?`)
  })

  test('a broken file’s secrets stay out of the log', async () => {
    await change('authorization: { webhook: https://u:hunter2@h/, headers: [hunter2] }\nusers: hunter2\n')
    expect(String(heard(world, /cannot be used/).at(-1)?.problems)).toContain('authorization.webhook: expected')
    await change('rules: [{ users: [dev] }]\nauthorization: { command: [may --token hunter2] }\n')
    expect(String(heard(world, /cannot be used/).at(-1)?.problems)).toContain('authorization.command: its program')
    await change('authorization: { headers: { X: *hunter2 } }\n')
    expect(world.gateway.log()).not.toContain('hunter2')
  })

  test('a file without rules does not open everything', async () => {
    await change('')
    expect(String(heard(world, /cannot be used/).at(-1)?.problems)).toContain('rules: gone, which would permit more')
    const client = await world.as('bob', `root@${container.name}`)
    expect((await client.exec('true')).code).toBe(255)
  })

  test('SIGHUP reads it, too; what needs a restart is said', async () => {
    const before = reloads()
    await world.configure({
      endWithdrawn: true,
      rules: [everything],
      maxSessions: undefined,
      hostSuffixes: ['.x'],
    } as never)
    process.kill(world.gateway.pid, 'SIGHUP')
    await until('it is read', () => reloads() > before)
    expect(heard(world, /needs a restart/).at(-1)?.keys).toEqual(['hostSuffixes'])
  })

  test('sessions and forwards that are not permitted any more end; others go on', async () => {
    await change({ endWithdrawn: true, rules: [everything] })
    const [mine, theirs, port] = [testMark(), testMark(), await freePort()]
    await docker('exec', '-d', container.name, 'python3', '-c', LISTENER)
    const bob = await world.as('bob', `dev@${container.name}`)
    const alice = await world.as('alice', `dev@${container.name}`)
    const gone = bob.ssh(['t', `echo ${theirs}; exec -a ${theirs} sleep 100`], { limit: 60_000 })
    const forward = spawn('ssh', ['-F', bob.config, '-N', '-L', `127.0.0.1:${port}:127.0.0.1:7070`, 't'], {
      stdio: 'ignore',
    })
    const stays = alice.ssh(['t', `exec -a ${mine} sleep 100`], { limit: 60_000 })
    try {
      await until('both run', async () => (await container.count(mine)) === 1 && (await container.count(theirs)) === 1)
      const socket = await until('the forward works', async () => {
        const attempt = connect(port, '127.0.0.1')
        const first = await new Promise<boolean>((resolve) => {
          attempt.once('data', () => resolve(true))
          attempt.once('error', () => resolve(false))
          attempt.once('close', () => resolve(false))
        })
        return first && attempt
      })
      const closed = new Promise((resolve) => socket.once('close', resolve))
      await change({ endWithdrawn: true, rules: [{ ...everything, who: { identities: ['alice'] } }] })
      const { code, stderr } = await gone
      expect([code, stderr.toString()]).toEqual([255, 'hatchway: session ended: it is not permitted any more\n'])
      await closed
      await until('the program is gone', async () => (await container.count(theirs)) === 0)
      expect(await container.count(mine)).toBe(1)
      const withdrawn = await world.logged(/^withdrawn$/, 2)
      expect(withdrawn.map(({ identity, action, by }) => [identity, action, by])).toEqual(
        expect.arrayContaining([
          ['bob', 'exec', 'no rule'],
          ['bob', 'forward-local', 'no rule'],
        ]),
      )
      expect(withdrawn.every(({ identity }) => identity === 'bob')).toBe(true)
    } finally {
      forward.kill()
      await container.count(mine, 'kill')
      await container.count(theirs, 'kill')
      await stays
    }
  })

  test('what a session was lent ends by itself: a listener of -R, an agent', async () => {
    await change({ endWithdrawn: true, rules: [everything] })
    const mark = testMark()
    const agentSocket = join(world.folder, 'agent.sock')
    const agent = spawn('ssh-agent', ['-D', '-a', agentSocket], { stdio: 'ignore' })
    const here = createServer((_, response) => response.end('here'))
    await new Promise<void>((resolve) => here.listen(0, '127.0.0.1', resolve))
    const { port } = here.address() as AddressInfo
    const bob = await world.as('bob', `dev@${container.name}`, ['ForwardAgent yes', 'ExitOnForwardFailure yes'])
    const script = `echo $SSH_AUTH_SOCK >/tmp/${mark}; exec -a ${mark} sleep 100`
    const session = bob.ssh(['-R', `127.0.0.1:7272:127.0.0.1:${port}`, 't', script], {
      env: { SSH_AUTH_SOCK: agentSocket },
      limit: 60_000,
    })
    const reaches = async (what: string) => (await container.inside(`python3 -c '${what}'`, 'dev')).code === 0
    const listener = () => reaches('import socket; socket.create_connection(("127.0.0.1", 7272), 3)')
    const agentInside = () =>
      reaches(`import socket; socket.socket(socket.AF_UNIX).connect(open("/tmp/${mark}").read().strip())`)
    try {
      await until('both are there', async () => (await listener()) && (await agentInside()))
      await change({
        endWithdrawn: true,
        rules: [{ ...everything, who: { identities: ['bob'] }, actions: { exec: true } }],
      })
      await until('neither is', async () => !((await listener()) || (await agentInside())))
      expect(await container.count(mark)).toBe(1)
      const withdrawn = () => heard(world, /^withdrawn$/).map(({ identity, action }) => `${identity} ${action}`)
      await until('both are in the log', () =>
        ['bob forward-remote', 'bob agent'].every((one) => withdrawn().includes(one)),
      )
    } finally {
      await container.count(mark, 'kill')
      await session
      agent.kill()
      here.close()
    }
  })
})

describe('people that change', () => {
  test('a connection that is open is held to who its person is today; what runs goes on', async () => {
    const inGroup = (groups: string[]) => ({
      users: { team: { principals: ['none'], groups } },
      rules: [{ who: { groups: ['dev'] }, users: ['dev'] }],
    })
    const world = await policyWorld({ bob: '' }, inGroup(['dev']))
    const authorized = join(world.folder, 'authorized_keys')
    const line = await readFile(authorized, 'utf8')
    const user = (groups: string[]) => {
      const { users, rules } = inGroup(groups)
      return { users: { bob: { ...users.team, keys: [line.trim()] } }, rules }
    }
    const mark = testMark()
    const reloads = () => heard(world, /^configuration and keys reloaded/).length
    const change = async (config: Parameters<PolicyWorld['configure']>[0]) => {
      const before = reloads()
      await world.configure(config)
      await until('the file is read', () => reloads() > before, 15_000)
    }
    try {
      await change(user(['dev']))
      const bob = await world.as('bob', `dev@${container.name}`, [`ControlPath ${join(world.folder, 'mux')}`])
      const master = bob.ssh(['-M', 't', `exec -a ${mark} sleep 100`], { limit: 120_000 })
      await until('it runs', async () => (await container.count(mark)) === 1)
      const next = async () => (await bob.ssh(['t', 'true'])).code
      expect(await next()).toBe(0)
      await change(user([]))
      expect(await next()).toBe(255)
      await change(user(['dev']))
      expect(await next()).toBe(0)
      // Still listed in the file, which is nobody's of the configuration.
      await change({ rules: user([]).rules })
      expect(await next()).toBe(255)
      await change({ rules: [{ users: ['dev'] }] })
      expect(await next()).toBe(0)
      await writeFile(authorized, '')
      const before = reloads()
      process.kill(world.gateway.pid, 'SIGHUP')
      await until('it is read', () => reloads() > before)
      const { code, stderr } = await bob.ssh(['t', 'true'])
      expect([code, stderr.toString()]).toEqual([255, 'hatchway: what you logged in with is not accepted any more\n'])
      expect((await world.logged(/^nobody who could/)).at(-1)).toMatchObject({ identity: 'bob' })
      // endWithdrawn is off.
      expect(await container.count(mark)).toBe(1)
      await container.count(mark, 'kill')
      await master
    } finally {
      await container.count(mark, 'kill')
      await world.close()
    }
  }, 120_000)
})

describe('somebody else who decides', () => {
  let world: PolicyWorld
  let server: Server
  let answer: (question: ReturnType<typeof questionSchema.parse>) => unknown
  let questions: ReturnType<typeof questionSchema.parse>[] = []
  let headers: unknown

  beforeAll(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = []
      headers = request.headers['x-token']
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const question = questionSchema.strict().parse(JSON.parse(Buffer.concat(chunks).toString()))
        questions.push(question)
        const said = answer(question)
        if (said !== 'nothing') response.end(typeof said === 'string' ? said : JSON.stringify(said))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/may`
    world = await policyWorld(
      { alice: '' },
      { authorization: { webhook: url, headers: { 'X-Token': 's3cret' }, timeout: '2s' } },
    )
  })
  afterAll(async () => {
    await world?.close()
    server?.closeAllConnections()
    server?.close()
  })

  const go = async (command = 'id -un', user = 'dev') => {
    questions = []
    const client = await world.as('alice', `${user}@${container.name}`, ['LogLevel INFO'])
    const { code, stdout, stderr } = await client.exec(command)
    return { code, stdout: stdout.toString().trim(), stderr: stderr.toString() }
  }

  test('is told who, from where, which container and user, and what', async () => {
    answer = () => ({ allow: true })
    expect(await go('echo $((6*7))')).toMatchObject({ code: 0, stdout: '42' })
    expect(headers).toBe('s3cret')
    expect(questions.find(({ action }) => action.kind === 'exec')).toMatchObject({
      version: 1,
      identity: { name: 'alice', method: 'publickey' },
      connection: { login: `dev@${container.name}`, remote: { address: '127.0.0.1' } },
      container: { id: container.id, name: container.name, labels: { 'hw-team': 'blue' } },
      user: { name: 'dev', uid: 1000 },
      action: { kind: 'exec', command: 'echo $((6*7))' },
    })
    expect(world.gateway.log()).not.toContain('s3cret')
  })

  test('a no with a text is what the user reads', async () => {
    answer = ({ action }) =>
      action.kind === 'exec' ? { allow: false, message: 'not\u001b[31m today' } : { allow: true }
    const { code, stderr } = await go()
    expect(code).toBe(255)
    expect(stderr).toContain(`this command in ${container.name} as dev is not permitted: not\\x1b[31m today`)
  })

  test('a container it keeps to itself is one that is not there', async () => {
    answer = ({ action, user }) => ({ allow: action.kind !== 'enter' || user !== undefined })
    const { code, stderr } = await go()
    expect([code, stderr.includes(`no container "${container.name}"`)]).toEqual([255, true])
    expect(stderr).not.toContain('did you mean')
  })

  test('rules decide for the rest of the connection, and it is asked no more', async () => {
    answer = () => ({ rules: [{ users: ['dev'], actions: { exec: ['id *'] } }] })
    expect(await go('id -un')).toMatchObject({ code: 0, stdout: 'dev' })
    // The login and the connection are asked for once each.
    expect(questions.length).toBe(2)
    expect((await go('whoami')).stderr).toContain('is not permitted')
    expect((await go('id -u', 'root')).stderr).toContain(`entering ${container.name} as root is not permitted`)
  })

  const FAILED = /^the webhook for authorization failed: refused$/
  test.each([
    ['not JSON', () => 'yes'],
    ['not an answer', () => ({ allowed: true })],
    ['more than was asked', () => ({ allow: true, rules: [] })],
    ['rules that are none', () => ({ rules: [{ user: ['dev'] }] })],
    ['nothing in time', () => 'nothing'],
    ['a flood', () => ' '.repeat(5_000_000)],
  ])('%s is a no, with a log line', async (_, said) => {
    answer = said
    const before = heard(world, FAILED).length
    const { code, stderr } = await go()
    expect(code).toBe(255)
    // Known only to who may know of it: the login itself is refused.
    expect(stderr).toMatch(/no container|cannot be decided/)
    await world.logged(FAILED, before + 1)
  })

  test('a webhook that is down is a no, with a log line', async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    expect((await go()).code).toBe(255)
    const line = await until('a log line', () =>
      heard(world, FAILED).find(({ err }) => String(err).includes('ECONNREFUSED')),
    )
    expect(line).toMatchObject({ level: 'error', identity: 'alice' })
  })
})

describe('a kill while somebody else decides', () => {
  /** Kills the session at the first such question; `answers`: the webhook says yes all the same. */
  async function killedAt(
    isIt: (question: ReturnType<typeof questionSchema.parse>) => boolean,
    answers: boolean,
    config: ConfigInput,
    ask: (world: PolicyWorld) => Promise<{ readonly code: number | string | null; readonly stderr: Buffer }>,
  ): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), 'hw-test-control-'))
    const controlSocket = join(folder, 'control.sock')
    const hatchway = async (...args: string[]) =>
      (await run(process.execPath, [MAIN, ...args, '--control-socket', controlSocket])).stdout.toString()
    let asked = 0
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      if (isIt(questionSchema.parse(JSON.parse(Buffer.concat(chunks).toString()))) && asked++ === 0) {
        const [session] = JSON.parse(await hatchway('sessions', '--json')) as { id: string }[]
        await hatchway('kill', session?.id ?? 'none')
        if (!answers) return
      }
      response.end('{"allow": true}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const webhook = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const authorization = { webhook, timeout: '60s' } as const
    let world: PolicyWorld | undefined
    try {
      world = await policyWorld({ alice: '' }, { ...config, authorization, controlSocket }, 'off')
      const { code, stderr } = await ask(world)
      expect([code, stderr.toString()]).toEqual([
        255,
        expect.stringMatching(/^(hatchway: making .*\n)?hatchway: session ended by the administrator\n$/),
      ])
      expect(asked).toBe(1)
      expect(heard(world, /^session started$/)).toEqual([])
    } finally {
      server.closeAllConnections()
      server.close()
      await world?.close()
      await rm(folder, { recursive: true, force: true })
    }
  }

  test('ends an sftp session that would be root: it is not served', async () => {
    const bare = await startContainer('scratch')
    try {
      const isRoot = ({ action, user }: { action: { kind: string }; user?: { uid: number } | undefined }) =>
        action.kind === 'sftp' && user?.uid === 0
      await killedAt(isRoot, true, {}, async (world) =>
        (await world.as('alice', `1000@${bare.name}`)).ssh(['-s', 't', 'sftp'], { limit: 20_000 }),
      )
    } finally {
      await bare.remove()
    }
  }, 60_000)

  test('ends a session at once, not when the answer comes', async () => {
    const name = `t${process.pid}kill`
    const config: ConfigInput = {
      templates: { [name]: { image: 'hatchway-busybox:latest', user: 'dev' } },
      environment: { accept: ['HW_ANY'] },
    }
    try {
      // What it asked for before anybody knew its container is asked about again once that is known.
      await killedAt(
        ({ action }) => action.kind === 'env',
        false,
        config,
        async (world) => {
          const client = await world.as('alice', `+${name}`, ['SendEnv HW_ANY'])
          return client.ssh(['t', 'true'], { limit: 20_000, env: { HW_ANY: 'x' } })
        },
      )
    } finally {
      const left = (await docker('ps', '-aq', '--filter', `label=hatchway.template=${name}`))
        .split('\n')
        .filter(Boolean)
      if (left.length > 0) await docker('rm', '-f', ...left)
    }
  }, 60_000)
})

/** `count` forwards at once over one connection, each to a port of its own: so many questions. */
async function flood(world: PolicyWorld, person: string, count: number) {
  const port = await freePort()
  const client = await world.as(person, `dev@${container.name}`)
  const ssh = spawn('ssh', ['-F', client.config, '-N', '-D', `127.0.0.1:${port}`, 't'], { stdio: 'ignore' })
  const socks = (to: number) =>
    new Promise<void>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.from([5, 1, 0])))
      socket.once('data', () => socket.write(Buffer.from([5, 1, 0, 1, 127, 0, 0, 1, to >> 8, to & 255])))
      socket.on('error', () => {})
      socket.on('close', () => resolve())
    })
  await until('it forwards', async () => {
    const attempt = connect(port, '127.0.0.1')
    return new Promise<boolean>((resolve) => {
      attempt.once('connect', () => attempt.end(() => resolve(true)))
      attempt.once('error', () => resolve(false))
    })
  })
  const all = Promise.all(Array.from({ length: count }, (_, index) => socks(20_000 + index)))
  return {
    all,
    end: () => {
      ssh.kill()
      return all
    },
  }
}

describe('somebody who asks much', () => {
  let world: PolicyWorld
  let server: Server
  const now = new Map<string, number>()
  const most = new Map<string, number>()
  const asked = new Map<string, number>()
  let delay = 100

  beforeAll(async () => {
    server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const { name } = questionSchema.parse(JSON.parse(Buffer.concat(chunks).toString())).identity
      asked.set(name, (asked.get(name) ?? 0) + 1)
      now.set(name, (now.get(name) ?? 0) + 1)
      most.set(name, Math.max(most.get(name) ?? 0, now.get(name) ?? 0))
      setTimeout(() => {
        now.set(name, (now.get(name) ?? 0) - 1)
        response.end('{"allow": true}')
      }, delay)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    world = await policyWorld({ alice: '', bob: '' }, { authorization: { webhook: url, timeout: '3s' } })
  })
  afterAll(async () => {
    await world?.close()
    server?.closeAllConnections()
    server?.close()
  })
  const failures = () => heard(world, /for authorization failed/)

  test('is asked about a few at a time, and all of it', async () => {
    const { all, end } = await flood(world, 'alice', 100)
    await all
    await end()
    expect(asked.get('alice')).toBeGreaterThanOrEqual(100)
    expect(most.get('alice')).toBeLessThanOrEqual(4)
    expect(failures()).toEqual([])
  }, 60_000)

  test('keeps nobody else waiting, nor the log busy', async () => {
    delay = 800
    const { end } = await flood(world, 'alice', 600)
    try {
      await until('the flood is on', () => (now.get('alice') ?? 0) > 0)
      const { code, stderr } = await (await world.as('bob', `dev@${container.name}`)).exec('true')
      expect([code, stderr.toString()]).toEqual([0, ''])
    } finally {
      await end()
    }
    expect(most.get('alice')).toBeLessThanOrEqual(4)
    expect(failures().every(({ identity }) => identity === 'alice')).toBe(true)
    // What does not fit in the queue is refused, and so is what the connection asks in the two seconds after.
    expect(failures().map(({ err }) => String(err))).toContainEqual(expect.stringContaining('too many'))
    expect(failures().length).toBeLessThan(20)
  }, 60_000)
})

describe('a command that decides', () => {
  test('runs a few times at once', async () => {
    const world = await policyWorld({ alice: '' }, {})
    try {
      const [program, seen] = [join(world.folder, 'may'), join(world.folder, 'seen')]
      await writeFile(
        program,
        `#!/bin/sh\ncat >/dev/null\necho 1 >>${seen}\nsleep 0.2\necho -1 >>${seen}\necho '{"allow": true}'\n`,
      )
      await chmod(program, 0o755)
      await world.configure({ authorization: { command: [program], timeout: '10s' } })
      await until('it is read', () => heard(world, /^configuration and keys reloaded/).length > 0, 15_000)
      const { all, end } = await flood(world, 'alice', 40)
      await all
      await end()
      const steps = (await readFile(seen, 'utf8')).trim().split('\n').map(Number)
      let running = 0
      expect(Math.max(...steps.map((step) => (running += step)))).toBeLessThanOrEqual(4)
      expect(steps.length).toBeGreaterThanOrEqual(80)
    } finally {
      await world.close()
    }
  }, 60_000)

  test('reads the question and answers; not 0 and too late are no', async () => {
    const world = await policyWorld({ alice: '' }, {})
    try {
      const program = join(world.folder, 'may')
      await writeFile(
        program,
        `#!/usr/bin/python3
import json, sys, time, os
question = json.load(sys.stdin)
command = question["action"].get("command", "")
if "late" in command:
    os.system("sleep 60")
if "fail" in command:
    sys.exit(1)
json.dump({"allow": "no" not in command and "HATCHWAY" not in str(os.environ)}, sys.stdout)
`,
      )
      await chmod(program, 0o755)
      await world.configure({ authorization: { command: [program], timeout: '3s' } })
      await until('it is read', () => heard(world, /^configuration and keys reloaded/).length > 0, 15_000)
      const client = await world.as('alice', `dev@${container.name}`)
      const code = async (command: string) => (await client.exec(command)).code
      expect([await code('true yes'), await code('true no'), await code('true fail'), await code('true late')]).toEqual(
        [0, 255, 255, 255],
      )
      expect(await world.logged(/^the command for authorization failed: refused$/, 2)).toHaveLength(2)
    } finally {
      await world.close()
    }
  })
})
