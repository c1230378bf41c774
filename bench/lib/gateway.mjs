// The built gateway as a child process, as a person starts it.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { end, until } from './command.mjs'
import { onClose } from './stop.mjs'

/** `mode`: engine, guest, and directPath: false to keep a helper's frames on the exec stream. */
export async function startGateway(name, { main, keys, folder, profile }, mode) {
  if (!existsSync(main)) throw new Error(`${main} is not there: npm run build`)
  const state = join(folder, `gateway-${name}`)
  mkdirSync(join(state, 'state'), { recursive: true, mode: 0o700 })
  // No option switches the direct path off; a file where its folder would be does.
  if (mode.directPath === false) writeFileSync(join(state, 'state', 'direct'), '')
  const child = spawn(
    process.execPath,
    [
      ...(profile ? ['--cpu-prof', '--cpu-prof-dir', join(profile, name)] : []),
      ...[main, 'serve', '--listen', '127.0.0.1:0', '--keys', state, '--authorized-keys', keys.authorized],
      ...['--engine', mode.engine, '--guest', mode.guest],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HATCHWAY_LOG_FORMAT: 'json' } },
  )
  let log = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      // A bulk run logs little; the bound is for a gateway gone wrong.
      if (log.length < 10_000_000) log += text
    })
  }
  child.over = false
  child.once('exit', () => {
    child.over = true
  })
  const stop = onClose(() => end(child))
  const { host, port } = await until(
    `${name} listens`,
    () => {
      if (child.over) throw Object.assign(new Error(`the gateway ended: ${log.slice(-2000)}`), { final: true })
      return lines(log).find((line) => line.msg === 'listening')
    },
    60_000, // a busy machine makes an RSA key
  )
  return { host, port, pid: child.pid, log: () => lines(log), stop }
}

function lines(text) {
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line)]
    } catch {
      return []
    }
  })
}
