/** Published ports as people read them. */
import type { PortBinding } from '../engine/engine.ts'

const ANY = new Set(['0.0.0.0', '::', ''])
const LOOPBACK = new Set(['127.0.0.1', '::1'])

/**
 * "8080->80/tcp" for any address, "localhost:8080->80/tcp" for loopback, "80/tcp" for exposed only. Docker publishes a
 * port on v4 and on v6 and lists both: to a person that is one. An exposed port that is also published is one, too.
 */
export function portList(ports: readonly PortBinding[]): string[] {
  const published = new Map<string, PortBinding>()
  for (const port of ports) {
    if (port.hostPort !== undefined) published.set(text(port), port)
  }
  const covered = new Set([...published.values()].map((port) => `${port.containerPort}/${port.protocol}`))
  const exposed = ports
    .filter((port) => port.hostPort === undefined && !covered.has(text(port)))
    .map((port): [string, PortBinding] => [text(port), port])
  return [...new Map([...published, ...exposed])]
    .sort(([, a], [, b]) => a.containerPort - b.containerPort || (a.hostPort ?? 0) - (b.hostPort ?? 0))
    .map(([words]) => words)
}

function text(port: PortBinding): string {
  const inside = `${port.containerPort}/${port.protocol}`
  if (port.hostPort === undefined) return inside
  const address = port.hostAddress ?? ''
  if (ANY.has(address)) return `${port.hostPort}->${inside}`
  if (LOOPBACK.has(address)) return `localhost:${port.hostPort}->${inside}`
  return `${address.includes(':') ? `[${address}]` : address}:${port.hostPort}->${inside}`
}
