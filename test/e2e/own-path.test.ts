/** An image whose PATH begins with a directory of dev's: what the gateway runs inside on its own account is not looked for there. */
import { spawn } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startContainer, type TestContainer, testMark } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

const BIN = '/home/dev/.local/bin'
const PATH = `${BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`
const NAMES = 'sh bash cat chmod getent grep head id ls mkdir rm sed sleep stat stty tar test tr tty uname wc xauth'
/** Each tells that it was run, and by whom, and does as the real one does. */
const PLANT = `mkdir -p ${BIN}; for n in ${NAMES}; do
  printf '#!/bin/sh\\n/bin/touch /tmp/ran-%s-as-$(/usr/bin/id -u)\\n[ %s = xauth ] || exec /bin/%s "$@"\\n' $n $n $n >${BIN}/$n
  chmod 755 ${BIN}/$n; done; chown -R dev /home/dev/.local`

describe.each(['docker', 'cli'] as const)('on %s', (engine) => {
  describe.each(['auto', 'off'] as const)('guest: %s', (guest) => {
    let keys: Keys
    let gateway: Gateway
    let container: TestContainer
    let client: SshClient
    beforeAll(async () => {
      keys = await makeKeys()
      gateway = await startGateway({ keys, engine, guest })
      container = await startContainer('debian', { args: ['-e', `PATH=${PATH}`] })
      expect((await container.inside(PLANT.replaceAll('mkdir -p', '/bin/mkdir -p'), '0')).code).toBe(0)
      client = await makeSshClient(gateway.target(`root@${container.name}`))
    }, 60_000)
    afterAll(async () => {
      await client?.close()
      await container?.remove()
      await gateway?.stop()
      await keys?.close()
    })
    const ran = async () =>
      (await run('docker', ['exec', container.name, '/bin/sh', '-c', 'cd /tmp && echo ran-*'])).stdout.toString().trim()

    test('nothing of dev’s runs as root', async () => {
      await run('docker', ['exec', container.name, '/bin/sh', '-c', '/bin/rm -f /tmp/ran-*'])
      const { stdout } = await client.ssh(['t', 'echo $PATH'])
      expect(stdout.toString()).toBe(`${PATH}\n`)
      const terminal = await client.ssh(['-tt', 't', 'echo $PATH; [ -t 0 ]; echo $?'])
      expect(terminal.stdout.toString()).toBe(`${PATH}\r\n0\r\n`)
      await client.ssh(['-X', 't', ':'], { env: { DISPLAY: '127.0.0.1:99' } })
      await client.sftp('ls /\n')
      const mark = testMark()
      const left = async () => (await run('docker', ['top', container.name, '-eo', 'pid,args'])).stdout.toString()
      // Cut off once it runs: what it left is hung up.
      const cut = spawn('ssh', ['-F', client.config, 't', `exec /bin/sh -c '/bin/sleep 60; : ${mark}'`], {
        stdio: 'ignore',
      })
      await until('the program to run', async () => (await left()).includes(mark), 15_000)
      cut.kill('SIGKILL')
      await until('what a client left is hung up', async () => !(await left()).includes(mark), 15_000)
      expect(await ran()).toBe('ran-*')
    }, 60_000)

    test('the user’s own commands are looked for on the user’s own PATH', async () => {
      await client.ssh(['t', 'tr a b </dev/null'])
      expect(await ran()).toBe('ran-tr-as-0')
    })
  })
})
