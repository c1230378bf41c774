import { describe, expect, it } from 'vitest'
import { nodeVersion } from '../../src/cli/examine.ts'
import { portList } from '../../src/cli/ports.ts'
import { warningsOf } from '../../src/cli/warnings.ts'
import type { ContainerSummary, PortBinding } from '../../src/engine/engine.ts'

function port(containerPort: number, hostAddress?: string, hostPort?: number): PortBinding {
  return {
    containerPort,
    protocol: 'tcp',
    ...(hostAddress !== undefined && { hostAddress }),
    ...(hostPort !== undefined && { hostPort }),
  }
}

describe('ports', () => {
  it.each<[string, PortBinding[], string[]]>([
    ['v4 and v6 of any address are one', [port(80, '0.0.0.0', 8080), port(80, '::', 8080)], ['8080->80/tcp']],
    ['v4 and v6 of loopback are one', [port(80, '127.0.0.1', 1), port(80, '::1', 1)], ['localhost:1->80/tcp']],
    ['loopback is not any', [port(80, '127.0.0.1', 1), port(80, '::', 1)], ['localhost:1->80/tcp', '1->80/tcp']],
    [
      'other addresses are named',
      [port(80, '10.0.0.1', 1), port(80, 'fd00::1', 1)],
      ['10.0.0.1:1->80/tcp', '[fd00::1]:1->80/tcp'],
    ],
    ['exposed only', [port(80), port(80)], ['80/tcp']],
    ['exposed and published is published', [port(80), port(80, '0.0.0.0', 8080)], ['8080->80/tcp']],
    ['by container port', [port(443), port(80)], ['80/tcp', '443/tcp']],
    ['two host ports of one', [port(80, '0.0.0.0', 2), port(80, '0.0.0.0', 1)], ['1->80/tcp', '2->80/tcp']],
  ])('%s', (_, ports, expected) => expect(portList(ports)).toEqual(expected))
})

describe('warnings', () => {
  const healthy: ContainerSummary = {
    id: 'a'.repeat(64),
    name: 'web',
    image: 'debian',
    state: 'running',
    status: 'Up 3 minutes (healthy)',
    createdAt: 0,
    labels: {},
    ports: [],
    mounts: [],
  }
  const mount = (source: string, type = 'bind') => ({ type, source, destination: '/x', readOnly: false })

  it.each<[string, Partial<ContainerSummary>, string[]]>([
    ['nothing wrong', { mounts: [mount('/srv/data'), mount('v', 'volume')] }, []],
    ['unhealthy', { status: 'Up 1 hour (unhealthy)' }, ['unhealthy']],
    ['paused', { state: 'paused' }, ['paused']],
    ['stopped', { state: 'exited' }, ['not running']],
    ['the engine socket', { mounts: [mount('/var/run/docker.sock')] }, ['holds the engine socket: root on the host']],
    ['the host root', { mounts: [mount('/')] }, ['host directory: /']],
    ['an sshd of its own', { ports: [port(22, '0.0.0.0', 2200)] }, ['has an SSH server of its own']],
  ])('%s', (_, change, expected) => expect(warningsOf({ ...healthy, ...change })).toEqual(expected))
})

it.each([
  ['20.18.9', 'fail'],
  ['20.19.0', 'ok'],
  ['18.30.0', 'fail'],
  ['22.1.0', 'ok'],
])('doctor says of node %s: %s', (version, state) => expect(nodeVersion(version).state).toBe(state))
