/** A stream from inside the container, joined to a channel towards the client. */
import type { Duplex } from 'node:stream'
import { joinStreams } from '../ssh/direct.ts'

/** If the client takes it. */
export async function joinInward(stream: Duplex, channel: Promise<Duplex>): Promise<void> {
  // Until it is joined nobody else listens.
  stream.on('error', () => stream.destroy())
  try {
    const taken = await channel
    // Who is gone by now says it no more.
    if (stream.destroyed) taken.destroy()
    else joinStreams(stream, taken)
  } catch {
    stream.destroy()
  }
}
