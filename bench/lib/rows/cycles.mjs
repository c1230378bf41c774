// Thousands of sessions and forwards opened and closed: does the gateway come back to where it was?
import { readdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { timed, until } from '../command.mjs'
import { memoryOf } from '../proc.mjs'
import { connectClient, execOn, forwardOut } from '../ssh-client.mjs'
import { stopped } from '../stop.mjs'

const CYCLES = 10_000
/** The gateway is looked at before the first block and after each; one block more goes before, to load and warm. */
const BLOCKS = 5
const AT_ONCE = 8
const REST = 6000
const PORT = 7010
const GREET = `use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalPort => ${PORT}, Listen => 512, ReuseAddr => 1) or die;
while (my $client = $listener->accept) { syswrite($client, "x"); close $client }`

export const cycleRows = [
  row('cycles', 'sessions', (client) => execOn(client, 'true')),
  row('forward-cycles', 'forwards', oneForward),
]

function row(key, what, once) {
  return {
    key,
    targets: ['guest'],
    rounds: 1,
    seconds: 1800,
    figures: [
      {
        key: 'growth',
        title: `growth of the gateway over ${CYCLES} ${what}, opened and closed`,
        unit: 'MB',
        goals: [{ target: 'guest', most: 5, from: 'design' }],
      },
      {
        key: 'descriptors',
        title: '  its descriptors',
        unit: 'more',
        goals: [{ target: 'guest', most: 0, from: '#6' }],
      },
      { key: 'cpu', title: '  CPU of the gateway for one', unit: 'ms', goals: [] },
    ],
    async prepare(target, { keys, scale }) {
      await timed(['docker', 'exec', '-d', target.container.name, 'perl', '-e', GREET])
      return {
        async sample() {
          const client = await connectClient(target.login, keys)
          client.on('error', () => {})
          try {
            if (key === 'forward-cycles') await until('the server listens', () => oneForward(client))
            const block = Math.max(1, Math.round((CYCLES / BLOCKS) * scale))
            await cycle(client, block, once)
            const looks = [await look(target)]
            const { server } = target.cpu()
            while (looks.length <= BLOCKS) {
              await cycle(client, block, once)
              looks.push(await look(target))
            }
            const cpu = ((target.cpu().server - server) * 1000) / (BLOCKS * block)
            // A heap breathes by tens of MB between collections; what it never comes back from is growth.
            const least = (some) => Math.min(...some.map(({ memory }) => memory))
            const growth = (least(looks.slice(BLOCKS / 2)) - least(looks.slice(0, BLOCKS / 2 + 1))) / 1024
            return { growth, descriptors: looks.at(-1).descriptors - looks[0].descriptors, cpu }
          } finally {
            client.end()
          }
        },
      }
    },
  }
}

async function cycle(client, count, once) {
  let left = count
  const worker = async () => {
    while (left-- > 0) {
      stopped.throwIfAborted()
      await once(client)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

async function look(target) {
  await delay(REST, undefined, { signal: stopped })
  return {
    memory: memoryOf(target.gatewayPid),
    descriptors: readdirSync(`/proc/${target.gatewayPid}/fd`).length,
  }
}

async function oneForward(client) {
  const { closed } = await forwardOut(client, PORT)
  await closed
  return true
}
