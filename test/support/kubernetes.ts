/**
 * The node of scripts/kubernetes.sh, which `./hatchway test --kubernetes` starts: a namespace of its own for each test file,
 * pods made by what the contract says to Docker's CLI, and the gateway's account with nothing but the Role of packaging/.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Engine } from '../../src/engine/engine.ts'
import { readClusterAccess } from '../../src/engine/kubernetes/kubeconfig.ts'
import { createKubernetesEngine, type KubernetesEngineOptions } from '../../src/engine/kubernetes/kubernetes.ts'
import { run } from './run.ts'

const top = join(import.meta.dirname, '../..')
const node = process.env.HATCHWAY_TEST_KUBERNETES

/** Why Kubernetes cannot be tried here; undefined when it can. */
export const whyNoKubernetes =
  node === undefined ? '`./hatchway test --kubernetes` builds and starts a node of it' : undefined

export interface Kubernetes {
  readonly namespace: string
  /** Of the gateway's account. */
  readonly kubeconfig: string
  readonly node: string
  engine(over?: Partial<KubernetesEngineOptions>): Promise<Engine>
  /** One of its own: another way to the API server, another proof. */
  kubeconfigOf(over: { readonly server?: string; readonly user?: object }): Promise<string>
  /** What belongs to the node: "stop kubelet", "kubelet", "stop apiserver", "apiserver". */
  nodeDo(...args: string[]): Promise<void>
  /** As the administrator, in the namespace. */
  kubectl(args: readonly string[], input?: string): Promise<string>
  /** What the contract says to Docker's CLI: run, kill, rm, exec. */
  control(...args: string[]): Promise<string>
  /** Of the node: its containerd. */
  ctr(...args: string[]): Promise<string>
  close(): Promise<void>
}

let count = 0

export async function startKubernetes(): Promise<Kubernetes> {
  if (node === undefined) throw new Error('there is no node of Kubernetes')
  const namespace = `hw-test-${process.pid}-${count++}`
  const kubeconfig = join(node, 'gateway.kubeconfig')
  const engines: Engine[] = []
  const folder = await mkdtemp(join(tmpdir(), 'hw-test-kubernetes-'))

  async function program(binary: string, args: readonly string[], input?: string): Promise<string> {
    const result = await run(binary, [...args], {
      limit: 90_000,
      ...(input !== undefined && { input: Buffer.from(input) }),
    })
    if (result.code !== 0) throw new Error(`${binary} ${args.join(' ')}: ${result.stderr.toString().trim()}`)
    return result.stdout.toString().trim()
  }

  const kubectl = (args: readonly string[], input?: string) =>
    program(
      join(node, 'bin/kubectl'),
      ['--kubeconfig', join(node, 'admin.kubeconfig'), '-n', namespace, ...args],
      input,
    )

  const ctr = (...args: string[]) => program('ctr', ['-a', join(node, 'containerd.sock'), '-n', 'k8s.io', ...args])

  await kubectl(['create', 'namespace', namespace])
  // The cluster's controllers make it as well, a moment later.
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } }
  await kubectl(['apply', '-f', '-'], JSON.stringify(account))
  await kubectl(['apply', '-f', '-'], await readFile(join(top, 'packaging/kubernetes/role-exec.yaml'), 'utf8'))
  await kubectl(['create', 'rolebinding', 'hatchway-exec', '--role=hatchway-exec', '--user=gateway'])
  await kubectl(['apply', '-f', '-'], await readFile(join(top, 'packaging/kubernetes/role-templates.yaml'), 'utf8'))
  await kubectl(['create', 'rolebinding', 'hatchway-templates', '--role=hatchway-templates', '--user=gateway'])

  const podOf = (ref: string) =>
    kubectl(['get', 'pods', '-o', 'json']).then((text) => {
      for (const pod of JSON.parse(text).items) {
        if (pod.metadata.name === ref || ref.split('/')[1] === pod.metadata.uid) return pod
      }
      throw new Error(`no pod ${ref}`)
    })

  async function runPod(args: readonly string[]): Promise<string> {
    const pod = podOfOptions(args)
    await kubectl(['apply', '-f', '-'], JSON.stringify(pod))
    await kubectl(['wait', '--for=condition=Ready', `pod/${pod.metadata.name}`, '--timeout=80s'])
    const { metadata } = await podOf(pod.metadata.name)
    return `${namespace}/${metadata.uid}/main`
  }

  return {
    namespace,
    kubeconfig,
    node,
    kubectl,
    ctr,
    async engine(over = {}) {
      const access = await readClusterAccess({ kubeconfig })
      const engine = createKubernetesEngine({ access, namespaces: [namespace], ...over })
      engines.push(engine)
      return engine
    },
    async kubeconfigOf({ server, user = { token: 'gateway-token' } }) {
      const own = await readFile(kubeconfig, 'utf8')
      const [, usual = ''] = /server: "([^"]+)"/.exec(own) ?? []
      const file = join(folder, `kubeconfig-${count++}`)
      const cluster = { server: server ?? usual, 'certificate-authority': join(node, 'pki/ca.crt') }
      await writeFile(
        file,
        JSON.stringify({
          'current-context': 'c',
          clusters: [{ name: 'c', cluster }],
          users: [{ name: 'u', user }],
          contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
        }),
      )
      return file
    },
    async nodeDo(...args) {
      await program(join(top, 'scripts/kubernetes.sh'), args)
    },
    async control(command = '', ...args) {
      if (command === 'run') return runPod(args)
      if (command === 'rm') {
        const names = args.filter((arg) => arg !== '-f')
        const pods = await Promise.all(
          names.map((name) =>
            podOf(name).then(
              ({ metadata }) => metadata.name,
              () => name,
            ),
          ),
        )
        return kubectl(['delete', 'pod', '--ignore-not-found', '--grace-period=1', ...pods])
      }
      const [ref = '', ...rest] = args
      const pod = await podOf(ref)
      if (command === 'exec') return kubectl(['exec', pod.metadata.name, '-c', 'main', '--', ...rest])
      if (command === 'kill') {
        const id = String(pod.status.containerStatuses[0].containerID).replace('containerd://', '')
        return ctr('tasks', 'kill', '-s', 'KILL', id)
      }
      throw new Error(`Kubernetes has no ${command}`)
    },
    async close() {
      for (const engine of engines) await engine.close()
      await kubectl(['delete', 'namespace', namespace, '--wait=false'])
      await kubectl(['delete', 'pods', '--all', '--grace-period=1', '--wait=false'])
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** `docker run`'s words, as far as a pod has them. */
function podOfOptions(args: readonly string[]) {
  const labels: Record<string, string> = {}
  const env: { name: string; value: string }[] = []
  const security: Record<string, unknown> = {}
  const groups: number[] = []
  let name = ''
  let workingDir: string | undefined
  let image = ''
  for (let at = 0; at < args.length; at++) {
    const option = args[at] ?? ''
    const value = () => args[++at] ?? ''
    const pair = () => {
      const [key = '', ...rest] = value().split('=')
      return [key, rest.join('=')] as const
    }
    if (option === '-d') continue
    if (option === '--name') name = value()
    else if (option === '--label') {
      const [key, text] = pair()
      labels[key] = text
    } else if (option === '-e') {
      const [key, text] = pair()
      env.push({ name: key, value: text })
    } else if (option === '--user') {
      const [uid, gid] = value().split(':')
      Object.assign(security, { runAsUser: Number(uid), ...(gid && { runAsGroup: Number(gid) }) })
    } else if (option === '--workdir') workingDir = value()
    else if (option === '--group-add') groups.push(Number(value()))
    else if (option === '--read-only') security.readOnlyRootFilesystem = true
    else if (option.startsWith('-')) throw new Error(`no pod has ${option}`)
    else image = option
  }
  return podSpec(name, {
    labels,
    image,
    groups,
    container: { env, securityContext: security, ...(workingDir && { workingDir }) },
  })
}

export function podSpec(
  name: string,
  over: {
    groups?: number[]
    labels?: object
    image?: string
    restartPolicy?: string
    containers?: string[]
    container?: object
  } = {},
) {
  const {
    groups = [],
    labels = {},
    image = 'hatchway-busybox:latest',
    restartPolicy = 'Never',
    containers = ['main'],
    container = {},
  } = over
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: {
      restartPolicy,
      terminationGracePeriodSeconds: 1,
      nodeName: 'node1',
      // Nothing of the cluster is needed inside.
      automountServiceAccountToken: false,
      ...(groups.length > 0 && { securityContext: { supplementalGroups: groups } }),
      containers: containers.map((one) => ({
        name: one,
        image: `docker.io/library/${image}`,
        imagePullPolicy: 'Never',
        ...container,
      })),
    },
  }
}
