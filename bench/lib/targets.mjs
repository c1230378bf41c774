// What is compared. Each target answers how a command line in its container looks, and what its server side costs.
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { apiExec } from './api-exec.mjs'
import { attempt, background, end, until } from './command.mjs'
import { startContainer } from './containers.mjs'
import { startGateway } from './gateway.mjs'
import { writeSshConfig } from './keys.mjs'
import { cpuInside, cpuOf, daemonPids } from './proc.mjs'
import { onClose } from './stop.mjs'

const USER = 'dev'

/** Key, name in the table, how it is opened. `exec` and `sshd` are what the others are held against. */
export const TARGETS = [
  { key: 'exec', name: 'docker exec CLI', open: openExec },
  { key: 'api', name: 'Engine API exec', open: openApi },
  { key: 'sshd', name: 'sshd inside', open: openSshd },
  gateway('docker', 'Hatchway docker, no guest', { engine: 'docker', guest: 'off' }),
  gateway('guest', 'Hatchway docker, guest', { engine: 'docker', guest: 'auto' }),
  gateway('stream', '  its frames on the exec', { engine: 'docker', guest: 'auto', directPath: false }),
  gateway('cli', 'Hatchway cli, no guest', { engine: 'cli', guest: 'off' }),
]

function gateway(key, name, mode) {
  return { key, name, open: (setup) => openGateway(key, name, mode, setup) }
}

/** A fresh instance, for a row that must not inherit another row's memory or containers. */
export function reopen(target, setup) {
  return TARGETS.find(({ key }) => key === target.key).open(setup)
}

async function openExec() {
  const container = await startContainer('exec')
  return {
    ...common('exec', 'docker exec CLI', container, () => 0),
    argv: (command) => execArgv(container.name, ['-i'], command),
    terminalArgv: (command) => execArgv(container.name, ['-it'], command),
  }
}

async function openApi() {
  const container = await startContainer('api')
  return {
    ...common('api', 'Engine API exec', container, () => 0),
    exec: (argv, name = container.name) => apiExec(name, argv, USER),
  }
}

async function openSshd(setup) {
  const script =
    'ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/hw_host; mkdir -p /run/sshd; until [ -e /etc/ssh/hw_ready ]; do sleep 0.05; done; exec /usr/sbin/sshd -D -e -f /etc/ssh/hw_config'
  const container = await startContainer('sshd', 'sh', '-c', script)
  const config = `Port 22
HostKey /etc/ssh/hw_host
AuthorizedKeysFile /etc/ssh/hw_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
MaxStartups 100
Subsystem sftp internal-sftp
`
  await container.inside('cat >/etc/ssh/hw_config', config)
  await container.inside('cat >/etc/ssh/hw_keys && touch /etc/ssh/hw_ready', readFileSync(setup.keys.authorized))
  await until('sshd listens', () => listens(container.address, 22))
  const login = { host: container.address, port: 22, user: USER }
  return ssh('sshd', 'sshd inside', container, () => cpuInside(container.pid), login, setup, container.remove)
}

let opened = 0

async function openGateway(key, name, mode, setup) {
  const container = await startContainer(key)
  const process = await startGateway(`${key}-${++opened}`, setup, mode)
  const login = { host: process.host, port: process.port, user: `${USER}@${container.name}` }
  const close = async () => {
    await process.stop()
    await container.remove()
  }
  return {
    ...ssh(key, name, container, () => cpuOf(process.pid), login, setup, close),
    gatewayPid: process.pid,
    loginTo: (other) => ({ ...login, user: `${USER}@${other.name}` }),
    /** What it says about how its bytes travelled. */
    dataPath: () => {
      if (mode.guest === 'off') return ''
      if (mode.directPath === false) return 'exec stream, forced'
      const switched = process.log().find((line) => /direct data path|stays on the engine/.test(line.msg ?? ''))
      return switched ? (switched.reason ? `exec stream: ${switched.reason}` : 'direct data path') : 'exec stream'
    },
  }
}

function ssh(key, name, container, serverCpu, login, setup, close) {
  const config = join(setup.folder, `config-${container.name}`)
  writeSshConfig(config, { ...login, key: setup.keys.file })
  const client = (options, command, host = 't') => ['ssh', '-F', config, ...options, host, command]
  return {
    ...common(key, name, container, serverCpu),
    config,
    login,
    argv: (command, options = []) => client([...options, '-o', 'ControlPath=none'], command),
    defaultArgv: (command) => client([], command, 'd'),
    terminalArgv: (command) => client(['-tt'], command),
    live: () => openMaster(config, join(setup.folder, `mux-${container.name}`)),
    close,
  }
}

function common(key, name, container, serverCpu) {
  return {
    key,
    name,
    container,
    close: container.remove,
    dataPath: () => '',
    /** CPU seconds so far: the server's process alone, and with all that works for it (engine, shim, inside). */
    cpu: () => {
      const server = serverCpu()
      const engine = [...daemonPids(), container.shim].reduce((sum, pid) => sum + cpuOf(pid), 0)
      // sshd and what it starts are inside.
      return { server, all: (key === 'sshd' ? 0 : server) + engine + cpuInside(container.pid) }
    },
  }
}

/** A connection that stays, for clients with these options. */
async function openMaster(config, path) {
  const master = background(['ssh', '-F', config, '-M', '-S', path, '-N', 't'])
  const close = onClose(() => end(master))
  await until('the connection stands', async () => {
    if (master.over) throw Object.assign(new Error(`ssh: ${master.said.trim()}`), { final: true })
    return attempt(['ssh', '-F', config, '-S', path, '-O', 'check', 't'])
  })
  return { options: ['-o', `ControlPath=${path}`], close }
}

function execArgv(name, options, command) {
  const program = /^[\w/ -]+$/.test(command) ? command.split(' ') : ['sh', '-c', command]
  return ['docker', 'exec', ...options, '-u', USER, name, ...program]
}

function listens(host, port) {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1000 })
    const answer = (yes) => {
      socket.destroy()
      resolve(yes)
    }
    socket.once('connect', () => answer(true))
    socket.once('error', () => answer(false))
    socket.once('timeout', () => answer(false))
  })
}
