/** What a person should know about a container before a session in it. */
import type { ContainerSummary, Mount } from '../engine/engine.ts'

export function warningsOf(container: ContainerSummary): string[] {
  const warnings: string[] = []
  const { state, status } = container
  if (state !== 'running') warnings.push(state === 'exited' || state === 'created' ? 'not running' : state)
  if (/\(unhealthy\)/.test(status)) warnings.push('unhealthy')
  if (/\(health: starting\)/.test(status)) warnings.push('health check not passed yet')
  for (const mount of container.mounts) {
    const warning = mountWarning(mount)
    if (warning !== undefined) warnings.push(warning)
  }
  if (container.ports.some((port) => port.containerPort === 22 && port.hostPort !== undefined)) {
    warnings.push('has an SSH server of its own')
  }
  return [...new Set(warnings)]
}

function mountWarning({ type, source, readOnly }: Mount): string | undefined {
  if (/\/(docker|podman|containerd)\.sock$/.test(source)) return 'holds the engine socket: root on the host'
  if (type !== 'bind') return undefined
  const path = source.replace(/\/+$/, '')
  const words = readOnly ? 'host directory, read-only' : 'host directory'
  return ['', '/etc', '/root', '/home', '/proc', '/sys', '/var', '/usr', '/boot', '/dev'].includes(path)
    ? `${words}: ${path || '/'}`
    : undefined
}
