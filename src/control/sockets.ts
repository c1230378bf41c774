/** Where the control sockets of this user's gateways are. */
import { readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** Where packaging/hatchway.service has its gateway's socket, which root and its user may open. */
export const UNIT_SOCKET = '/run/hatchway/control.sock'

/** Where gateways of this user may have their sockets, the preferred one first. */
export function controlDirectories(): string[] {
  // Root's daemon is started without XDG_RUNTIME_DIR and root's shell has it: one place for both.
  if (process.getuid?.() === 0) return ['/run/hatchway/control']
  const own = join(process.env.HOME || homedir(), '.hatchway')
  const runtime = process.env.XDG_RUNTIME_DIR
  return runtime ? [join(runtime, 'hatchway'), own] : [own]
}

/** The names of those that have handed over: the new gateway has the configured one. */
export function asideName(socket: string, pid: number): string {
  return `${socket}.${pid}`
}

/** Those that may be there: the configured one, else one for each gateway that runs or was killed. */
export function controlSockets(configured: string | undefined): string[] {
  if (configured !== undefined) return [configured, ...setAside(configured)]
  const own = controlDirectories().flatMap((directory) => named(directory, (name) => /^\d+\.sock$/.test(name)))
  return [...own, UNIT_SOCKET, ...setAside(UNIT_SOCKET)]
}

function setAside(socket: string): string[] {
  const before = `${basename(socket)}.`
  return named(dirname(socket), (name) => name.startsWith(before) && /^\d+$/.test(name.slice(before.length)))
}

function named(directory: string, fits: (name: string) => boolean): string[] {
  try {
    return readdirSync(directory)
      .filter(fits)
      .map((name) => join(directory, name))
  } catch {
    return []
  }
}

/** A person ends or restarts a gateway by its pid, which the name of its own socket has. */
export function gatewayBehind(socket: string): string {
  const [, pid] = /(?:\/|\.)(\d+)(?:\.sock)?$/.exec(socket) ?? []
  return pid === undefined ? `the gateway behind ${socket}` : `gateway ${pid} (${socket})`
}
