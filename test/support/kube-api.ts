/**
 * An API server of the tests' own, as far as the driver asks: pods with list and watch, SelfSubjectAccessReview, and exec over
 * WebSockets as KEP-4006 and its predecessor describe it. Programs are run for real, on this machine.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import type { ClusterAccess } from '../../src/engine/kubernetes/kubeconfig.ts'
import { type KubeObjects, kubeObjects, serveObjects, verbOf } from './kube-objects.ts'

export type Json = Record<string, unknown>

export interface KubeApi extends KubeObjects {
  readonly access: ClusterAccess
  readonly pods: Map<string, Json>
  /** Of each request: "GET /api/v1/...". */
  readonly asked: string[]
  /** Of each request: its Authorization. */
  readonly authorizations: string[]
  /** The protocols that exec serves, best first; `choosy`: an offer with another one in it is refused as a whole. */
  protocols: string[]
  choosy: boolean
  /** An exec is not answered at all. */
  hangs: boolean
  forbidsExec: Set<string>
  token: string | undefined
  /** The oldest version that a watch may begin at. */
  oldestVersion: number
  /** What an exec does in place of running its command. */
  onExec: ((socket: WebSocket, url: URL) => void) | undefined
  /** Called where an exec has been let through, before it begins. */
  beforeExec: (() => void) | undefined
  readonly sockets: Set<WebSocket>
  set(pod: Json): void
  remove(name: string): void
  bookmark(): void
  /** All watches end as streams do. */
  cutWatches(how: 'end' | 'reset'): void
  /** Nobody is answered any more, until `up()`. */
  down(): Promise<void>
  up(): Promise<void>
  close(): Promise<void>
}

export function podJson(
  name: string,
  over: { containers?: string[]; metadata?: Json; status?: Json; uid?: string } = {},
): Json {
  const containers = over.containers ?? ['main']
  return {
    metadata: {
      name,
      namespace: 'shop',
      uid: over.uid ?? `uid-${name}`,
      creationTimestamp: '2026-01-02T03:04:05Z',
      labels: { app: name },
      ...over.metadata,
    },
    spec: { nodeName: 'node1', containers: containers.map((one) => ({ name: one, image: `${one}:1` })) },
    status: {
      phase: 'Running',
      podIP: '10.1.2.3',
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: containers.map((one) => ({
        name: one,
        ready: true,
        restartCount: 0,
        containerID: `containerd://${name}-${one}-0`,
        state: { running: { startedAt: '2026-01-02T03:04:06Z' } },
      })),
      ...over.status,
    },
  }
}

interface Watch {
  readonly namespace: string
  readonly response: http.ServerResponse
}

export async function startKubeApi(): Promise<KubeApi> {
  const watches = new Set<Watch>()
  const connections = new Set<Socket>()
  const history: { version: number; namespace: string; line: string }[] = []
  let version = 100
  let port = 0
  let isDown = false

  const meta = (pod: Json) => pod.metadata as { name: string; namespace: string; resourceVersion?: string }
  const tell = (type: string, object: Json, namespace: string) => {
    const line = `${JSON.stringify({ type, object })}\n`
    history.push({ version, namespace, line })
    for (const watch of watches) if (watch.namespace === namespace) watch.response.write(line)
  }

  const server = http.createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://x')
    const answer = (code: number, body: Json, headers: Record<string, string> = {}) => {
      response.writeHead(code, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body))
    }
    const refuse = (code: number, reason: string, message: string) =>
      answer(code, { kind: 'Status', status: 'Failure', reason, message, code })
    api.asked.push(`${request.method} ${url.pathname}`)
    api.authorizations.push(request.headers.authorization ?? '')
    if (api.token !== undefined && request.headers.authorization !== `Bearer ${api.token}`) {
      return refuse(401, 'Unauthorized', 'Unauthorized')
    }
    api.verbs.add(verbOf(request.method ?? '', url))
    if (url.pathname === '/version') return answer(200, { gitVersion: 'v1.99.0' })
    if (url.pathname.endsWith('/selfsubjectaccessreviews')) {
      let body = ''
      request.on('data', (chunk) => (body += chunk))
      request.on('end', () => {
        const { namespace } = JSON.parse(body).spec.resourceAttributes
        answer(201, { status: { allowed: !api.forbidsExec.has(namespace) } })
      })
      return
    }
    if (serveObjects(api, request, url, answer, refuse)) return
    const [, namespace = '', name] = /^\/api\/v1\/namespaces\/([^/]+)\/pods(?:\/([^/]+))?$/.exec(url.pathname) ?? []
    if (namespace === '') return refuse(404, 'NotFound', 'the server could not find the requested resource')
    const here = [...api.pods.values()].filter((pod) => meta(pod).namespace === namespace)
    if (name !== undefined) {
      const found = here.find((pod) => meta(pod).name === name)
      return found ? answer(200, found) : refuse(404, 'NotFound', `pods "${name}" not found`)
    }
    if (url.searchParams.get('watch') === null) {
      const limit = Number(url.searchParams.get('limit') ?? 500)
      const from = Number(url.searchParams.get('continue') ?? 0)
      const more = from + limit < here.length ? String(from + limit) : ''
      return answer(200, {
        metadata: { resourceVersion: String(version), continue: more },
        items: here.slice(from, from + limit),
      })
    }
    const since = Number(url.searchParams.get('resourceVersion'))
    response.writeHead(200, { 'Content-Type': 'application/json' })
    response.flushHeaders()
    if (since < api.oldestVersion) {
      const object = {
        kind: 'Status',
        status: 'Failure',
        reason: 'Expired',
        message: 'too old resource version',
        code: 410,
      }
      return response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`)
    }
    for (const past of history) if (past.version > since && past.namespace === namespace) response.write(past.line)
    const watch = { namespace, response }
    watches.add(watch)
    response.on('close', () => watches.delete(watch))
  })
  server.on('connection', (socket) => {
    if (isDown) return socket.destroy()
    connections.add(socket)
    socket.on('close', () => connections.delete(socket))
  })
  server.on('upgrade', (request, socket, head) => {
    const url = new URL(request.url ?? '/', 'http://x')
    api.asked.push(`${request.method} ${url.pathname}`)
    api.authorizations.push(request.headers.authorization ?? '')
    const refuse = (code: number, body: string) =>
      socket.end(
        `HTTP/1.1 ${code} No\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      )
    const status = (code: number, reason: string, message: string) =>
      refuse(code, JSON.stringify({ kind: 'Status', status: 'Failure', reason, message, code }))
    if (api.token !== undefined && request.headers.authorization !== `Bearer ${api.token}`)
      return status(401, 'Unauthorized', 'Unauthorized')
    // A WebSocket is a GET; newer servers ask for `create` as well.
    api.verbs.add('get pods/exec').add('create pods/exec')
    const [, namespace = '', name] = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/exec$/.exec(url.pathname) ?? []
    if (api.forbidsExec.has(namespace)) return status(403, 'Forbidden', `pods "${name}" is forbidden: no pods/exec`)
    if (![...api.pods.values()].some((pod) => meta(pod).name === name))
      return status(404, 'NotFound', `pods "${name}" not found`)
    const offered = String(request.headers['sec-websocket-protocol'] ?? '').split(/ *, */)
    const chosen = api.protocols.find((one) => offered.includes(one))
    if (chosen === undefined || (api.choosy && offered.some((one) => !api.protocols.includes(one))))
      return refuse(403, '')
    if (api.hangs) return
    const accepting = new WebSocketServer({ noServer: true, handleProtocols: () => chosen })
    accepting.handleUpgrade(request, socket, head, (opened) => {
      api.sockets.add(opened)
      opened.on('close', () => api.sockets.delete(opened))
      api.beforeExec?.()
      if (api.onExec) api.onExec(opened, url)
      else {
        if (api.withoutShell.has(url.searchParams.get('container') ?? '')) url.searchParams.set('command', '/no/such')
        runProgram(opened, url)
      }
    })
  })

  async function listen(): Promise<void> {
    isDown = false
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  }

  async function down(): Promise<void> {
    isDown = true
    const closed = new Promise((resolve) => server.close(resolve))
    for (const socket of api.sockets) socket.terminate()
    for (const socket of connections) socket.destroy()
    await closed
  }

  const api: Omit<KubeApi, 'access'> = {
    ...kubeObjects(),
    pods: new Map(),
    asked: [],
    authorizations: [],
    protocols: ['v5.channel.k8s.io', 'v4.channel.k8s.io'],
    choosy: false,
    hangs: false,
    forbidsExec: new Set(),
    token: undefined,
    oldestVersion: 0,
    onExec: undefined,
    beforeExec: undefined,
    sockets: new Set(),
    set(pod) {
      const { name, namespace } = meta(pod)
      const isNew = !api.pods.has(name)
      const now = { ...pod, metadata: { ...meta(pod), resourceVersion: String(++version) } }
      api.pods.set(name, now)
      tell(isNew ? 'ADDED' : 'MODIFIED', now, namespace)
    },
    remove(name) {
      const pod = api.pods.get(name)
      if (!pod) return
      api.pods.delete(name)
      version++
      tell('DELETED', { ...pod, metadata: { ...meta(pod), resourceVersion: String(version) } }, meta(pod).namespace)
    },
    bookmark() {
      version += 10
      for (const { response } of watches) {
        response.write(
          `${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(version) } } })}\n`,
        )
      }
    },
    cutWatches(how) {
      for (const { response } of watches) {
        if (how === 'end') response.end()
        else response.destroy()
      }
      watches.clear()
    },
    down,
    up: listen,
    close: down,
  }
  await listen()
  return Object.assign(api, {
    access: {
      server: new URL(`http://127.0.0.1:${port}`),
      verify: true,
      namespace: 'shop',
      user: {},
      by: 'a test',
    } satisfies ClusterAccess,
  })
}

/** As a kubelet with containerd does it, without terminals. */
function runProgram(socket: WebSocket, url: URL): void {
  const [program = '', ...args] = url.searchParams.getAll('command')
  // A new process, as programs in a container see it: PATH and nothing of this one's.
  const child = spawn(program, args, { env: { PATH: process.env.PATH } })
  const send = (channel: number, bytes: Buffer | string) => {
    const message = Buffer.concat([Buffer.from([channel]), Buffer.from(bytes)])
    return new Promise<void>((resolve) => socket.send(message, () => resolve()))
  }
  for (const channel of [0, 1, 2, 3]) void send(channel, '')
  child.stdin.on('error', () => {})
  for (const event of ['drain', 'close']) child.stdin.on(event, () => socket.resume())
  for (const [channel, stream] of [
    [1, child.stdout],
    [2, child.stderr],
  ] as const) {
    stream.on('data', (chunk: Buffer) => {
      stream.pause()
      void send(channel, chunk).then(() => stream.resume())
    })
  }
  socket.on('message', (data: Buffer) => {
    if (data[0] === 0 && !child.stdin.writableEnded) {
      if (!child.stdin.write(data.subarray(1))) {
        socket.pause()
      }
    } else if (data[0] === 255 && data[1] === 0 && socket.protocol === 'v5.channel.k8s.io') child.stdin.end()
  })
  // A kubelet lets it run on; nobody here would end it.
  socket.on('close', () => child.kill('SIGKILL'))
  child.on('error', () => {
    const message = `Internal error occurred: error executing command in container: failed to exec in container: failed to start exec "x": OCI runtime exec failed: exec failed: unable to start container process: exec: "${program}": executable file not found in $PATH: unknown`
    void send(3, JSON.stringify({ status: 'Failure', reason: 'InternalError', message, code: 500 })).then(() =>
      socket.close(),
    )
  })
  child.on('close', (code, signal) => {
    const exit = code ?? (signal === 'SIGKILL' ? 137 : 143)
    const causes = [{ reason: 'ExitCode', message: String(exit) }]
    const status =
      exit === 0
        ? { metadata: {}, status: 'Success' }
        : {
            metadata: {},
            status: 'Failure',
            message: `command terminated with non-zero exit code`,
            reason: 'NonZeroExitCode',
            details: { causes },
          }
    void send(3, JSON.stringify(status)).then(() => socket.close(1000))
  })
}
