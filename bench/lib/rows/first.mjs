// The first session of a container that nobody entered before; with the guest helper its delivery is part of it.
import { startContainer } from '../containers.mjs'
import { connectClient, execOn } from '../ssh-client.mjs'

export const firstRow = {
  key: 'first',
  targets: ['api', 'docker', 'guest', 'cli'],
  figures: [
    {
      key: 'session',
      title: 'first session in a container: its channel alone',
      unit: 'ms',
      columns: ['api'],
      goals: [{ target: 'guest', against: 'api', most: 1.6, from: '#4' }],
    },
    { key: 'connect', title: 'first session in a container: its connection and login', unit: 'ms', goals: [] },
  ],
  prepare: (target, { keys }) => ({
    async sample() {
      const container = await startContainer('first')
      try {
        if (target.exec) return { session: await target.exec(['true'], container.name) }
        const began = performance.now()
        const client = await connectClient(target.loginTo(container), keys)
        const connect = performance.now() - began
        const session = await execOn(client, 'true')
        client.end()
        return { session, connect }
      } finally {
        await container.remove()
      }
    },
  }),
}
