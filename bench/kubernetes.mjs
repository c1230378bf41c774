/**
 * `kubectl exec` against ssh through the gateway, into one pod of the node of scripts/kubernetes.sh, interleaved, medians.
 *   HATCHWAY_TEST_KUBERNETES=$(scripts/kubernetes.sh up) node bench/kubernetes.mjs [ROUNDS=15] [MB=200] [IDLE=90]
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { background, end, output, timed, until } from './lib/command.mjs'
import { makeKeys, makeScratch, writeSshConfig } from './lib/keys.mjs'
import { memoryOf } from './lib/proc.mjs'
import { median, pairedRatio } from './lib/stats.mjs'
import { closeAll, onClose } from './lib/stop.mjs'

const [ROUNDS = 15, MB = 200, IDLE = 90] = process.argv.slice(2).map(Number)
const BYTES = MB * 1024 * 1024
const TOP = join(import.meta.dirname, '..')
const node = process.env.HATCHWAY_TEST_KUBERNETES
if (!node) throw new Error('HATCHWAY_TEST_KUBERNETES is what `scripts/kubernetes.sh up` prints')

const namespace = `hw-bench-${process.pid}`
const kubectl = [join(node, 'bin/kubectl'), '--kubeconfig', join(node, 'admin.kubeconfig'), '-n', namespace]
/** The gateway's own rights. */
const asGateway = [join(node, 'bin/kubectl'), '--kubeconfig', join(node, 'gateway.kubeconfig'), '-n', namespace]

async function makePod() {
  await output([...kubectl, 'create', 'namespace', namespace])
  onClose(() => output([...kubectl, 'delete', 'namespace', namespace, '--wait=false']))
  await output([...kubectl, 'apply', '-f', join(TOP, 'packaging/kubernetes/role-exec.yaml')])
  await output([...kubectl, 'create', 'rolebinding', 'hatchway-exec', '--role=hatchway-exec', '--user=gateway'])
  const main = { name: 'main', image: 'docker.io/library/hatchway-debian:latest', imagePullPolicy: 'Never' }
  const spec = { containers: [main], automountServiceAccountToken: false, terminationGracePeriodSeconds: 1 }
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'pod' }, spec }
  await until('the service account', () => output([...kubectl, 'get', 'serviceaccount', 'default']))
  await output([...kubectl, 'apply', '-f', '-'], { input: JSON.stringify(pod) })
  await output([...kubectl, 'wait', '--for=condition=Ready', 'pod/pod', '--timeout=80s'])
}

async function startGateway(folder, keys) {
  const config = join(folder, 'hatchway.yaml')
  const engine = { kind: 'kubernetes', kubeconfig: join(node, 'gateway.kubeconfig'), namespaces: [namespace] }
  writeFileSync(config, JSON.stringify({ engine }))
  const args = ['serve', '--config', config, '--listen', '127.0.0.1:0', '--authorized-keys', keys.authorized]
  const child = spawn(process.execPath, [join(TOP, 'dist/main.js'), ...args, '--keys', folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (log += text))
  onClose(async () => {
    child.kill()
    await once(child, 'exit')
  })
  const port = await until('the gateway listens', () => Number(/"port":(\d+),"msg":"listening"/.exec(log)?.[1]), 60_000)
  return { pid: child.pid, port }
}

/** Each way once a round, in turns. */
async function interleaved(title, ways, unit, toFigure = (ms) => ms) {
  const figures = Object.fromEntries(Object.keys(ways).map((name) => [name, []]))
  const names = Object.keys(ways)
  for (let round = -1; round < ROUNDS; round++) {
    for (let at = 0; at < names.length; at++) {
      const name = names[(at + round + 1) % names.length]
      const ms = await timed(ways[name].argv, { stdin: ways[name].stdin })
      if (round >= 0) figures[name].push(toFigure(ms))
    }
  }
  for (const name of names) {
    const ratio = pairedRatio(figures[name], figures[names[0]])
    console.log(
      `${title.padEnd(10)} ${name.padEnd(14)} ${median(figures[name]).toFixed(0).padStart(6)} ${unit}  ${ratio.toFixed(2)} x`,
    )
  }
}

/** An identity may have 100 connections. Some at once: fifty starts in one container hang its shim. */
async function started(count, start) {
  const all = []
  for (let at = 0; at < count; at += 5) {
    all.push(...(await Promise.all(Array.from({ length: Math.min(5, count - at) }, start))))
  }
  return all
}

async function idle(argv) {
  const child = background(argv, ['pipe', 'pipe', 'pipe'])
  await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
  if (child.over) throw new Error(`${argv[0]} ended: ${child.said}`)
  return child
}

const kilobytes = (children) => children.reduce((sum, { pid }) => sum + memoryOf(pid), 0)

try {
  await makePod()
  const folder = makeScratch()
  const keys = await makeKeys(folder)
  const gateway = await startGateway(folder, keys)
  const config = join(folder, 'config')
  writeSshConfig(config, { host: '127.0.0.1', port: gateway.port, user: `dev@pod.${namespace}`, key: keys.file })
  const ssh = ['ssh', '-F', config]
  const live = [...ssh, '-S', join(folder, 'master')]
  const master = background([...live, '-M', '-N', 't'])
  onClose(() => end(master))
  await until('the master is there', () => output([...live, '-O', 'check', 't']).then(() => true))

  await interleaved(
    'true',
    {
      'kubectl exec': { argv: [...asGateway, 'exec', 'pod', '--', 'true'] },
      'ssh, new': { argv: [...ssh, 't', 'true'] },
      'ssh, live': { argv: [...live, 't', 'true'] },
    },
    'ms',
  )
  const zeros = join(folder, 'zeros')
  await output(['truncate', '-s', String(BYTES), zeros])
  const rate = (ms) => MB / (ms / 1000)
  const out = ['head', '-c', String(BYTES), '/dev/zero']
  await interleaved(
    `${MB} MB out`,
    {
      'kubectl exec': { argv: [...asGateway, 'exec', 'pod', '--', ...out] },
      ssh: { argv: [...live, 't', out.join(' ')] },
    },
    'MB/s',
    rate,
  )
  await interleaved(
    `${MB} MB in`,
    {
      'kubectl exec': { argv: [...asGateway, 'exec', '-i', 'pod', '--', 'sh', '-c', 'cat >/dev/null'], stdin: zeros },
      ssh: { argv: [...live, 't', 'cat >/dev/null'], stdin: zeros },
    },
    'MB/s',
    rate,
  )

  const before = memoryOf(gateway.pid)
  const sessions = await started(IDLE, () => idle([...ssh, 't', 'echo in; exec cat']))
  const grown = memoryOf(gateway.pid) - before
  const clients = kilobytes(sessions)
  for (const one of sessions) await end(one)
  const execs = await started(IDLE, () =>
    idle([...asGateway, 'exec', '-i', 'pod', '--', 'sh', '-c', 'echo in; exec cat']),
  )
  const kubectls = kilobytes(execs)
  for (const one of execs) await end(one)
  const mb = (size) => `${(size / 1024).toFixed(1)} MB`
  console.log(
    `${IDLE} idle   kubectl ${mb(kubectls)}; the gateway grew by ${mb(grown)} (${(grown / kubectls).toFixed(3)} x), its ssh clients ${mb(clients)}`,
  )
} finally {
  await closeAll()
}
