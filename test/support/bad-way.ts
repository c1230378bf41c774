/** A bad way to the API server of the test's node: every chunk comes late, and the kernel drops every hundredth packet. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { pipeline, Transform } from 'node:stream'
import { run } from './run.ts'

/** As scripts/kubernetes.sh has them. */
const [LINK, INSIDE, NAMESPACE] = ['hwk8s0', 'eth0', '/run/netns/hwk8s']
const LOSS = ['-m', 'statistic', '--mode', 'random', '--probability', '0.01', '-j', 'DROP']

export interface BadWay {
  /** "https://127.0.0.1:PORT", which the server's certificate is for as well. */
  readonly server: string
  close(): Promise<void>
}

export async function openBadWay(kubeconfigServer: string, delayMs: number): Promise<BadWay> {
  const { hostname, port } = new URL(kubeconfigServer)
  const sockets = new Set<Socket>()
  const late = () =>
    new Transform({ transform: (chunk, _encoding, done) => void setTimeout(done, delayMs, null, chunk) })
  const proxy = createServer({ allowHalfOpen: true }, (client) => {
    const server = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
    for (const socket of [client, server]) sockets.add(socket)
    pipeline(client, late(), server, () => client.destroy())
    pipeline(server, late(), client, () => server.destroy())
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  await loss('-I')
  return {
    server: `https://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    async close() {
      await loss('-D')
      for (const socket of sockets) socket.destroy()
      proxy.close()
      await once(proxy, 'close')
    },
  }
}

/** Both ways: what the host takes from the node, and the node from the host. */
async function loss(how: '-I' | '-D'): Promise<void> {
  const inside = ['nsenter', `--net=${NAMESPACE}`]
  for (const [within, link] of [
    [[], LINK],
    [inside, INSIDE],
  ] as const) {
    const [program = '', ...args] = [...within, 'iptables', '-w', how, 'INPUT', '-i', link, '-p', 'tcp', ...LOSS]
    const { code, stderr } = await run(program, args)
    if (code !== 0) throw new Error(`${program}: ${stderr.toString()}`)
  }
}
