/** Two streams joined: bytes both ways, each side's half-close kept, one side's failure the other's end. */
import type { Duplex } from 'node:stream'

export function join(a: Duplex, b: Duplex): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.on('error', () => to.destroy())
    from.on('close', () => {
      if (!from.readableEnded) to.destroy()
    })
    from.pipe(to)
  }
}

/** Join a stream that came from inside the container to a channel towards the client, if the client takes it. */
export async function joinInward(stream: Duplex, channel: Promise<Duplex>): Promise<void> {
  // Until it is joined nobody else listens.
  stream.on('error', () => stream.destroy())
  try {
    join(stream, await channel)
  } catch {
    stream.destroy()
  }
}
