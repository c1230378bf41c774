// `true` over a connection that stands already.
import { timed } from '../command.mjs'
import { CPU_FIGURES, sampleWithCpu } from '../cpu.mjs'
import { connectClient, execOn } from '../ssh-client.mjs'

/** A gateway lives for weeks: its code is compiled, as sshd's always is. */
const WARM = 300
const WARM_MS = 5000

/** As a person has it, with ControlMaster: the client's own process is part of it. */
export const liveRow = {
  key: 'live',
  targets: ['exec', 'sshd', 'docker', 'guest', 'cli'],
  figures: [
    {
      key: 'ms',
      title: 'true over a live connection',
      unit: 'ms',
      goals: [{ target: 'guest', against: 'exec', most: 0.1, from: 'design' }],
    },
  ],
  async prepare(target) {
    const live = await target.live?.()
    const argv = target.argv('true', live?.options)
    await timed(argv)
    return { sample: async () => ({ ms: await timed(argv) }), close: live?.close }
  },
}

/** As a program has it: one channel of a connection this process holds. */
export const channelRow = {
  key: 'channel',
  targets: ['api', 'sshd', 'docker', 'guest', 'cli'],
  figures: [
    {
      key: 'ms',
      title: 'true in a new channel (no client process)',
      unit: 'ms',
      columns: ['api', 'sshd'],
      goals: [{ target: 'guest', against: 'api', most: 0.1, from: '#4' }],
    },
    ...CPU_FIGURES,
  ],
  async prepare(target, { keys }) {
    if (target.exec) return { sample: () => sampleWithCpu(target, () => target.exec(['true'])) }
    const client = await connectClient(target.login, keys)
    const warm = performance.now() + WARM_MS
    for (let i = 0; i < WARM && performance.now() < warm; i++) await execOn(client, 'true')
    return { sample: () => sampleWithCpu(target, () => execOn(client, 'true')), close: () => client.end() }
  },
}
