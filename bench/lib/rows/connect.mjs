// A new connection and `true` in it: what `ssh host command` costs.
import { setTimeout as delay } from 'node:timers/promises'
import { timed } from '../command.mjs'
import { CPU_FIGURES, sampleWithCpu } from '../cpu.mjs'
import { stopped } from '../stop.mjs'

const PLAIN_ROADS = ['docker', 'cli']

export const connectRow = {
  key: 'connect',
  targets: ['exec', 'sshd', 'docker', 'guest', 'cli'],
  figures: [
    {
      key: 'ms',
      title: 'connect + true',
      unit: 'ms',
      goals: [
        ...PLAIN_ROADS.flatMap((target) => [
          { target, against: 'exec', most: 1.2, from: '#2' },
          { target, against: 'sshd', most: 0.7, from: '#2' },
        ]),
        { target: 'guest', against: 'sshd', most: 0.5, from: '#4' },
        { target: 'guest', against: 'exec', most: 1.0, from: 'design' },
      ],
    },
    ...CPU_FIGURES,
  ],
  prepare: (target) => prepare(target, target.argv('true')),
}

export const defaultKexRow = {
  key: 'kex',
  targets: ['sshd', 'docker', 'guest', 'cli'],
  figures: [{ key: 'ms', title: 'connect + true, default key exchange and cipher', unit: 'ms', goals: [] }],
  prepare: (target) => prepare(target, target.defaultArgv('true')),
}

/** What the gateway remembers of a container is older than that: a person's first connection in a while. */
const COLD = 12_000

export const coldRow = {
  key: 'cold',
  targets: ['exec', 'sshd', 'docker', 'guest', 'cli'],
  rounds: 5,
  figures: [{ key: 'ms', title: 'connect + true after 12 s of nothing', unit: 'ms', goals: [] }],
  async prepare(target) {
    const argv = target.argv('true')
    await timed(argv)
    let last = performance.now()
    return {
      async sample() {
        // Less where the other targets' runs took as long.
        await delay(Math.max(0, last + COLD - performance.now()), undefined, { signal: stopped })
        const ms = await timed(argv)
        last = performance.now()
        return { ms }
      },
    }
  },
}

async function prepare(target, argv) {
  await timed(argv)
  return { sample: () => sampleWithCpu(target, () => timed(argv)) }
}
