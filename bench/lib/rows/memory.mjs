// What idle sessions with a terminal cost: every process but the user's own program and, for ssh, the user's client.
import { setTimeout as delay } from 'node:timers/promises'
import { spawn } from 'node-pty'
import { until } from '../command.mjs'
import { daemonPids, memoryOf, nameOf, pidsInside, treeOf } from '../proc.mjs'
import { connectClient, openChannel } from '../ssh-client.mjs'
import { stopped } from '../stop.mjs'
import { reopen } from '../targets.mjs'

// Not sleep: the image's own first process keeps one.
const PROGRAM = 'tail'
const COMMAND = `exec ${PROGRAM} -f /dev/null`
const PAUSE = 2000
/** Two looks this near, in KB: the engine's collector has done its work. */
const CALM = 300
const CALM_LIMIT = 20_000
/** sshd drops strangers from ten at a time on. */
const AT_ONCE = 5
const BATCH_LIMIT = 60_000

export const memoryRow = {
  key: 'memory',
  targets: ['exec', 'sshd', 'docker', 'guest', 'cli'],
  rounds: 3,
  // Servers are started, heaps come to rest: most of it is waiting.
  seconds: 600,
  figures: [
    {
      key: 'each',
      title: 'memory of an idle PTY session',
      unit: 'KB',
      goals: [
        { target: 'docker', against: 'exec', most: 0.05, from: 'design' },
        { target: 'guest', against: 'exec', most: 0.05, from: 'design' },
        { target: 'guest', most: 150, from: '#4' },
      ],
    },
  ],
  prepare: (target, setup) => idle(target, setup, setup.idle),
}

export const thousandRow = {
  key: 'thousand',
  targets: ['guest'],
  rounds: 1,
  figures: [
    {
      key: 'gateway',
      title: '1000 idle PTY sessions: the gateway',
      unit: 'MB',
      goals: [{ target: 'guest', most: 1024, from: '#4' }],
    },
    { key: 'each', title: '  each, all processes', unit: 'KB', goals: [{ target: 'guest', most: 150, from: '#4' }] },
  ],
  prepare: (target, setup) => idle(target, setup, Math.max(1, Math.round(1000 * setup.scale))),
}

/** Each sample has a server of its own: a heap that a bulk transfer grew would hide what sessions take. */
function idle(target, setup, count) {
  const notes = []
  return {
    async sample() {
      const fresh = await reopen(target, setup)
      let sessions = []
      try {
        // What the first sessions load and warm is no cost of a session.
        await openSessions(fresh, setup, AT_ONCE * 2, sessions)
        await closeSessions(fresh, sessions)
        sessions = []
        await settle(fresh)
        const before = weigh(fresh, [])
        await openSessions(fresh, setup, count, sessions)
        await settle(fresh)
        const after = weigh(fresh, sessions)
        const parts = Object.entries(after).map(([part, kilobytes]) => [part, (kilobytes - before[part]) / count])
        notes.push(parts.map(([part, kilobytes]) => `${part} ${kilobytes.toFixed(0)}`).join(', '))
        return {
          each: parts.reduce((sum, [, kilobytes]) => sum + kilobytes, 0),
          gateway: after.gateway / 1024,
        }
      } finally {
        for (const session of sessions) session.end()
        await fresh.close()
      }
    },
    note: () => notes.at(-1),
  }
}

async function settle(target) {
  const heaps = () => [...daemonPids(), ...(target.gatewayPid ? [target.gatewayPid] : [])].map(memoryOf)
  const last = Date.now() + CALM_LIMIT
  for (let before = heaps(); ; ) {
    await delay(PAUSE, undefined, { signal: stopped })
    const now = heaps()
    if (now.every((size, i) => Math.abs(size - before[i]) < CALM) || Date.now() > last) return
    before = now
  }
}

function weigh(target, sessions) {
  const sum = (pids) => pids.reduce((total, pid) => total + memoryOf(pid), 0)
  const inside = pidsInside(target.container.pid).filter((pid) => nameOf(pid) !== PROGRAM)
  const clients = sessions.flatMap((session) => (session.pid ? treeOf(session.pid) : []))
  return {
    gateway: target.gatewayPid ? sum(treeOf(target.gatewayPid)) : 0,
    'docker CLI': sum(clients),
    // What the engine's heap does while sshd's sessions are idle is none of theirs.
    dockerd: target.key === 'sshd' ? 0 : sum(daemonPids()),
    shim: sum([target.container.shim]),
    inside: sum(inside),
  }
}

async function openSessions(target, { keys }, count, sessions) {
  const one = target.login ? () => overSsh(target, keys) : () => overCli(target)
  while (sessions.length < count) {
    const batch = Math.min(AT_ONCE, count - sessions.length)
    // Kept as they come: one that fails must not leave its neighbours open.
    await Promise.all(Array.from({ length: batch }, async () => sessions.push(await one())))
  }
  const running = () => pidsInside(target.container.pid).filter((pid) => nameOf(pid) === PROGRAM).length
  await until(`${count} programs run`, () => running() >= count, BATCH_LIMIT)
}

async function closeSessions(target, sessions) {
  for (const session of sessions) session.end()
  const left = () => pidsInside(target.container.pid).filter((pid) => nameOf(pid) === PROGRAM)
  // The CLI leaves its program running when it is killed (moby#9098); the bench does not.
  await until(
    'the first sessions end',
    () => {
      if (!target.login) for (const pid of left()) process.kill(pid, 'SIGKILL')
      return left().length === 0
    },
    BATCH_LIMIT,
  )
}

/** One connection each, as people have it. */
async function overSsh({ login }, keys) {
  const client = await connectClient(login, keys)
  client.on('error', () => {})
  const channel = await openChannel(client, COMMAND, { pty: { term: 'xterm', cols: 80, rows: 24 } })
  channel.resume()
  return { end: () => client.destroy() }
}

/** docker exec -t wants a terminal of its own. */
function overCli(target) {
  const [file, ...args] = target.terminalArgv(`${PROGRAM} -f /dev/null`)
  const pty = spawn(file, args, { cols: 80, rows: 24, encoding: null })
  let over = false
  pty.onExit(() => {
    over = true
  })
  return { pid: pty.pid, end: () => !over && pty.kill('SIGKILL') }
}
