/** Engine over containerd's own API, without dockerd: `ctr` and nerdctl make such containers, and Kubernetes' kubelet does. */
import { anyOf, withDeadline } from '../../lifetime/deadline.ts'
import { createKeyedSemaphore } from '../../lifetime/semaphore.ts'
import type { Engine } from '../engine.ts'
import { createContainerdApi } from './api.ts'
import { createContainers } from './containers.ts'
import { containerdEvents } from './events.ts'
import { endAbandoned, startContainerdExec } from './exec.ts'
import { createFifoFolder, fifoBase } from './fifos.ts'
import type { ExecHost } from './host.ts'

export interface ContainerdEngineOptions {
  /** "/run/containerd/containerd.sock" */
  readonly socket: string
  readonly namespace: string
  /** Where the pipes of programs are; containerd's shims must see the same folder. */
  readonly folder?: string
  /** Milliseconds for a call to answer. */
  readonly callDeadline?: number
  /** Milliseconds for a program's start to be answered. */
  readonly startDeadline?: number
}

/** In one container: more than 16 program starts at once hang containerd's shim, and more than 8 are no faster. */
const STARTS_AT_ONCE = 8
/** What is hung up when the engine is closed. */
const FAREWELL_MS = 2_000

/** Connects at the first call, so a containerd that is down now may come later. */
export function createContainerdEngine(options: ContainerdEngineOptions): Engine {
  const { socket, namespace } = options
  const api = createContainerdApi(socket, namespace, options.callDeadline ?? 15_000)
  const containers = createContainers(api)
  const closed = new AbortController()
  const host: ExecHost = {
    api,
    containers,
    fifos: createFifoFolder({
      base: options.folder ?? fifoBase(process.env),
      scope: `${socket} ${namespace}`,
      abandoned: (label) => void endAbandoned({ api, closed: closed.signal }, label),
    }),
    gate: createKeyedSemaphore({ atOnce: STARTS_AT_ONCE }),
    startLimitMs: options.startDeadline ?? 30_000,
    programs: new Set(),
    closed: closed.signal,
  }

  return {
    kind: 'containerd',
    carries: { user: 'numeric', cwd: true, env: true },
    endpoint: `unix://${socket}, namespace ${namespace}`,

    async info(signal) {
      const version = await api.call('version', {}, signal)
      return {
        product: 'containerd',
        version: version.text(1).replace(/^v/, ''),
        // A unix socket: its containers run on this kernel.
        arch: process.arch,
        local: process.platform === 'linux',
      }
    },

    list: (signal) => containers.list(signal),
    inspect: (ref, signal) => containers.inspect(ref, signal),
    exec: (containerId, spec, sink, signal) => startContainerdExec(host, containerId, spec, sink, signal),
    events: (signal) => containerdEvents(api, anyOf(signal, closed.signal)),

    async close() {
      if (closed.signal.aborted) return
      await withDeadline(FAREWELL_MS, [], (limit) =>
        Promise.all([...host.programs].map((program) => program.end(limit))),
      )
      closed.abort(new Error('the engine was closed'))
      api.close()
      await host.fifos.close()
    },
  }
}
