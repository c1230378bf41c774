/** The reference: OpenSSH's sshd inside a container of ours, for the tests to show any difference. */
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { type ContainerOptions, startContainer, type TestContainer, testName } from './containers.ts'
import { run } from './run.ts'
import type { Keys, Target } from './ssh.ts'
import { until } from './wait.ts'

// inet only: docker leaves lo without ::1, and sshd then refuses every x11-req.
const CONFIG = `
Port 22
AddressFamily inet
HostKey /etc/ssh/ssh_host_ed25519_key
HostKey /etc/ssh/ssh_host_ecdsa_key
HostKey /etc/ssh/ssh_host_rsa_key
AuthorizedKeysFile /etc/ssh/hw_authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
MaxStartups 100
AcceptEnv LANG LC_*
X11Forwarding yes
PrintMotd yes
Subsystem sftp /usr/lib/openssh/sftp-server
`

export interface Sshd {
  readonly container: TestContainer
  readonly target: Target
  close(): Promise<void>
}

/** A container whose program is sshd, letting in `keys` as dev. `config` comes first, and the first value counts. */
export async function startSshd(keys: Keys, options: ContainerOptions = {}, config = ''): Promise<Sshd> {
  const container = await startContainer('debian', {
    ...options,
    name: options.name ?? testName('sshd'),
    command: [
      'sh',
      '-c',
      'ssh-keygen -A >/dev/null; until [ -e /etc/ssh/hw_ready ]; do sleep 0.05; done; exec /usr/sbin/sshd -D -e -f /etc/ssh/hw_sshd_config',
    ],
  })
  const host = container.address
  if (host === undefined) throw new Error('the sshd container has no address')
  const script = 'cat >/etc/ssh/hw_sshd_config; mkdir -p /run/sshd'
  await mustRun(container.name, script, `${config}\n${CONFIG}`)
  await mustRun(
    container.name,
    'cat >/etc/ssh/hw_authorized_keys; touch /etc/ssh/hw_ready',
    await readFile(keys.authorized),
  )
  await until('sshd listens', () => listens(host, 22), 20_000)
  return { container, target: { host, port: 22, user: 'dev', key: keys.ed25519 }, close: () => container.remove() }
}

async function mustRun(name: string, script: string, input: string | Buffer): Promise<void> {
  const result = await run('docker', ['exec', '-i', name, 'sh', '-c', script], { input })
  if (result.code !== 0) throw new Error(`in ${name}: ${result.stderr.toString()}`)
}

export function listens(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1000 })
    const answer = (yes: boolean) => {
      socket.destroy()
      resolve(yes)
    }
    socket.once('connect', () => answer(true))
    socket.once('error', () => answer(false))
    socket.once('timeout', () => answer(false))
  })
}
