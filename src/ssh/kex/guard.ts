/** Is this the ssh2 the layer was written for, and is it still time to change it? */

export const VERSION = '1.17.0'

/** These take kex.js's functions out of its exports as they load; what is put there later they never see. */
const TOO_LATE = ['ssh2/lib/protocol/Protocol.js', 'ssh2/lib/protocol/handlers.js']

/** A `require` function, as much of it as is asked here. */
export interface Loader {
  (id: string): unknown
  resolve(id: string): string
  readonly cache: Readonly<Record<string, unknown>>
}

/** Exactly that version: the layer stands on private names. */
export function assertVersion(load: Loader): void {
  const found = load('ssh2/package.json')
  const version = typeof found === 'object' && found !== null && 'version' in found ? found.version : undefined
  if (version === VERSION) return
  throw new Error(`this is written for ssh2 ${VERSION} exactly, but ${version} is installed: run npm ci`)
}

export function assertNotTooLate(load: Loader): void {
  const file = TOO_LATE.find((candidate) => load.cache[load.resolve(candidate)])
  if (!file) return
  throw new Error(`${file} was loaded before post-quantum key exchange was installed: import src/ssh/ssh2.ts first`)
}
