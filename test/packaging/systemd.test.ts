/** The unit under a real systemd: what an operator's commands do to sessions. On demand (`./hatchway test --engines`). */
import { copyFile, mkdir, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startContainer, type TestContainer } from '../support/containers.ts'
import type { Finished } from '../support/run.ts'
import { type Keys, makeKeys } from '../support/ssh.ts'
import { type Systemd, startSystemd } from '../support/systemd.ts'
import { until as untilWithin } from '../support/wait.ts'

const PACKAGING = resolve(import.meta.dirname, '../../packaging')
const LONG = 300_000
const until = <T>(what: string, ask: () => Promise<T | false | undefined> | T | false | undefined) =>
  untilWithin(what, ask, 60_000)

let systemd: Systemd
let keys: Keys
let container: TestContainer

beforeAll(async () => {
  systemd = await startSystemd()
  keys = await makeKeys()
  container = await startContainer('busybox')
  const { root } = systemd
  const units = join(root, 'etc/systemd/system')
  for (const unit of ['hatchway.service', 'hatchway.socket']) await copyFile(join(PACKAGING, unit), join(units, unit))
  await mkdir(join(root, 'etc/hatchway'))
  await copyFile(keys.authorized, join(root, 'etc/hatchway/authorized_keys'))
  await copyFile(keys.ed25519, join(root, 'root/id'))
  await writeFile(
    join(root, 'etc/hatchway/hatchway.yaml'),
    'authorizedKeys: [/etc/hatchway/authorized_keys]\nengine: { endpoint: "unix:///run/engine/docker.sock" }\n',
  )
  await writeFile(
    join(root, 'root/config'),
    `Host t\n  HostName 127.0.0.1\n  Port 2222\n  User ${container.name}\n  IdentityFile /root/id\n  BatchMode yes\n` +
      '  StrictHostKeyChecking no\n  UserKnownHostsFile /root/known\n  LogLevel ERROR\n  ConnectTimeout 20\n',
  )
  const { gid } = await stat('/var/run/docker.sock')
  await ok(`chmod 600 /root/id; groupadd --gid ${gid} docker || groupadd docker; chown root:docker /etc/hatchway`)
  await ok('useradd --system --home-dir /var/lib/hatchway --shell /usr/sbin/nologin hatchway')
  await ok('chmod -R a+rX /etc/hatchway; systemctl daemon-reload')
}, 20 * 60_000)
afterAll(async () => {
  await systemd?.close()
  await container?.remove()
  await keys?.close()
}, LONG)
beforeEach(async () => {
  await systemd.inside(
    'systemctl stop hatchway hatchway.socket; systemctl kill -s KILL hatchway; systemctl reset-failed',
  )
  await systemd.inside('rm -rf /run/hatchway')
})

/** Returns what it prints. */
async function ok(command: string): Promise<string> {
  const { code, stdout, stderr } = await systemd.inside(command, { limit: LONG })
  expect([command, code, stderr.toString()]).toEqual([command, 0, expect.anything()])
  return stdout.toString().trim()
}

const ssh = (command: string) => systemd.inside(`ssh -F /root/config t '${command}'`, { limit: LONG })
const mainPid = () => ok('systemctl show -p MainPID --value hatchway')

/** A session that waits to be told that it is over; prints "whole" then. */
async function held(name: string): Promise<{ end(): Promise<Finished>; readonly over: Promise<Finished> }> {
  const over = ssh(`touch /tmp/${name}; until [ -e /tmp/${name}.over ]; do sleep 0.1; done; echo whole`)
  await until('the session runs', async () => (await container.inside(`ls /tmp/${name}`)).code === 0)
  return {
    over,
    end: async () => {
      await container.inside(`touch /tmp/${name}.over`)
      return over
    },
  }
}

/** Logs in again and again; returns what was not as it should be. */
function visitor() {
  let isOver = false
  const logins: string[] = []
  const visits = (async () => {
    while (!isOver) {
      const { code, stdout, stderr } = await ssh('echo in')
      logins.push(`${code} ${stdout}${stderr}`)
    }
  })()
  return async () => {
    isOver = true
    await visits
    expect(logins.length).toBeGreaterThan(1)
    return logins.filter((login) => login !== '0 in\n')
  }
}

/** Which process has the session. */
async function gateways(): Promise<number[]> {
  const rows: { gateway: number }[] = JSON.parse(await ok('hatchway sessions --json'))
  return rows.map(({ gateway }) => gateway)
}

describe('the service', { timeout: LONG }, () => {
  it('restarts without ending a session, and refuses nobody where systemd has the socket', async () => {
    await ok('systemctl start hatchway.socket hatchway')
    const one = await held('one')
    const first = await gateways()
    const stop = visitor()
    await ok('systemctl restart hatchway')
    await ok('hatchway restart')
    await ok('systemctl restart hatchway')
    expect(await stop()).toEqual([])
    const two = await held('two')
    const [before, after] = await gateways()
    expect([before]).toEqual(first)
    expect(after).not.toBe(before)
    const said = await one.end()
    expect([said.code, said.stdout.toString()]).toEqual([0, 'whole\n'])
    await until('the first gateway has ended', async () => (await systemd.inside(`kill -0 ${before}`)).code !== 0)
    expect((await two.end()).stdout.toString()).toBe('whole\n')
    expect(await ok('systemctl is-active hatchway')).toBe('active')
    expect(await ok('ls /run/hatchway')).toBe('control.sock')
  })

  it('restarts without a socket of systemd’s, too, and then listens itself', async () => {
    await ok('systemctl start hatchway')
    const one = await held('three')
    await ok('systemctl restart hatchway')
    expect((await ssh('echo in')).stdout.toString()).toBe('in\n')
    expect((await one.end()).stdout.toString()).toBe('whole\n')
  })

  it('reloads, and says where that cannot be', async () => {
    await ok('systemctl start hatchway')
    await ok('systemctl reload hatchway')
    expect(await ok('journalctl -u hatchway --no-pager')).toContain('configuration and keys reloaded')
    await ok('cp /etc/hatchway/hatchway.yaml /root/good; echo "limits: 7" >>/etc/hatchway/hatchway.yaml')
    expect((await systemd.inside('systemctl reload hatchway')).code).not.toBe(0)
    const main = await mainPid()
    const failed = await systemd.inside('hatchway restart --config /root/good', { limit: LONG })
    expect([failed.code, failed.stderr.toString()]).toEqual([1, expect.stringContaining('this one goes on: ')])
    expect(await mainPid()).toBe(main)
    await ok('cp /root/good /etc/hatchway/hatchway.yaml')
    expect((await ssh('echo in')).stdout.toString()).toBe('in\n')
  })

  it('comes back after a crash, which ends the sessions of the one that crashed alone', async () => {
    await ok('systemctl start hatchway.socket hatchway')
    const one = await held('four')
    await ok('hatchway restart')
    const two = await held('five')
    const [, crashed] = await gateways()
    await ok(`kill -9 ${crashed}`)
    expect((await two.over).code).toBe(255)
    await until(
      'systemd has seen it',
      async () => Number(await ok('systemctl show -p NRestarts --value hatchway')) === 1,
    )
    await until('it serves again', async () => (await ssh('echo in')).stdout.toString() === 'in\n')
    expect((await one.end()).stdout.toString()).toBe('whole\n')
  })

  it('stopped leaves sessions alone, and a kill after it ends them with a word', async () => {
    await ok('systemctl start hatchway')
    const one = await held('six')
    await ok('systemctl stop hatchway')
    expect(await systemd.inside('systemctl is-active hatchway').then(({ stdout }) => stdout.toString())).toBe(
      'inactive\n',
    )
    expect((await ssh('true')).code).toBe(255)
    expect(await gateways()).toHaveLength(1)
    await ok('systemctl kill hatchway')
    await ok('sleep 1; systemctl kill hatchway')
    const { code, stderr } = await one.over
    expect([code, stderr.toString()]).toEqual([255, expect.stringContaining('the gateway is shutting down')])
    await until('nothing is left', async () => (await systemd.inside('pgrep -x node')).code !== 0)
  })
})
