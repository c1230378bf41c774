/** What came from inside the container, joined to a channel towards the client. */
import { type End, relay } from '../bytes/relay.ts'

/** If the client takes it. */
export async function joinInward(inside: End, channel: Promise<End>): Promise<void> {
  try {
    relay(inside, await channel)
  } catch {
    inside.destroy()
  }
}
