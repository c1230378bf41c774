import { describe, expect, it } from 'vitest'
import { bindingAdvice, nodeVersion } from '../../src/cli/examine.ts'
import { lsRow, lsTable } from '../../src/cli/ls.ts'
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

describe('the list', () => {
  const web: ContainerSummary = {
    id: 'a'.repeat(64),
    name: 'shop-frontend-1',
    image: 'registry.example/shop/frontend:2027-01-12',
    state: 'running',
    status: 'Up 3 minutes (unhealthy)',
    createdAt: 0,
    labels: { team: 'blue' },
    ports: [port(80, '0.0.0.0', 8080), port(443, '0.0.0.0', 8443)],
    mounts: [{ type: 'bind', source: '/srv/data', destination: '/data', readOnly: false }],
  }
  const stopped: ContainerSummary = { ...web, name: 'db', state: 'exited', status: 'Exited (0) 2 hours ago', ports: [] }
  const rows = [web, stopped].map(lsRow)
  const lines = (wide: boolean, width?: number) => lsTable(rows, wide, width).trimEnd().split('\n')

  it.each([20, 40, 60, 80, 120])('fits %i columns, a line each', (width) => {
    for (const wide of [false, true]) {
      expect(lines(wide, width)).toHaveLength(3)
      for (const line of lines(wide, width)) expect(line.length).toBeLessThanOrEqual(width)
    }
  })

  it('has name, state and image first, also at 40 columns, and the name is whole', () => {
    expect(lines(false, 40)[0]).toMatch(/^NAME +STATE +IMAGE/)
    expect(lines(false, 40)[1]).toMatch(/^shop-frontend-1 {2}Up 3 /)
    expect(lines(false, 80)[0]).toMatch(/^NAME +STATE +IMAGE +PORTS +WARNINGS$/)
  })

  it('has ids, volumes and labels only where they are asked for', () => {
    expect(lines(false).join()).not.toMatch(/team=blue|\/srv\/data|aaaaaaaaaaaa/)
    expect(lines(true)[1]).toMatch(/aaaaaaaaaaaa +\/srv\/data:\/data +team=blue$/)
  })
})

it.each([
  ['20.18.9', 'fail'],
  ['20.19.0', 'ok'],
  ['18.30.0', 'fail'],
  ['22.1.0', 'ok'],
])('doctor says of node %s: %s', (version, state) => expect(nodeVersion(version).state).toBe(state))

it.each([
  ['24.22.3', `--prefix ${process.cwd()} ssh2`],
  ['26.12.1', 'for node 24'],
])('doctor says of node %s what gives ssh2 its binding: %s', (version, advice) =>
  expect(bindingAdvice(version)).toContain(advice),
)

it('a container from a template says whose it is, another one does not whatever its labels are', () => {
  const made = { 'hatchway.owner': 'f'.repeat(32), 'hatchway.owner.name': 'alice' }
  const container: ContainerSummary = {
    ...{ id: 'a'.repeat(64), name: 'hatchway-node-1', image: 'node', state: 'running', status: 'Up', createdAt: 0 },
    ...{ ports: [], mounts: [] },
    labels: made,
  }
  expect(lsRow(container).owner).toBe('alice')
  expect(lsRow({ ...container, labels: { 'hatchway.owner.name': 'alice' } })).not.toHaveProperty('owner')
})
