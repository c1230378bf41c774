/** The helper's file for an engine's machine, and the archives that carry it. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PACKAGE_ROOT } from '../../base/package-root.ts'
import { part } from '../../base/parts.ts'
import { tarball } from './tar.ts'

/** Every name the helper gets in a container's file system begins so. */
export const NAME_PREFIX = '.hatchway-guest-'
export const HOLDER_REPOSITORY = 'hatchway-guest'
/** In the holder's image: the helper; and the same as the holder's own program, which nobody may read (guest/hold.c). */
export const HOLDER_HELPER = '/hatchway-guest'
export const HOLDER_PROGRAM = '/hatchway-hold'
/** Where the holder mounts the folder of the gateway's socket. */
export const HOLDER_MOUNT = '/gateway'

export interface GuestBinary {
  readonly bytes: Buffer
  readonly holderImage: { readonly repository: string; readonly tag: string; readonly tar: Buffer }
}

const loaded = new Map<string, Promise<GuestBinary | undefined>>()

// A helper of another version than the program would not understand it.
part(() => Promise.all(['x64', 'arm64'].map(loadBinary)))

/** Undefined: no helper was built for this machine. Read once. */
export function loadBinary(arch: string): Promise<GuestBinary | undefined> {
  const known = loaded.get(arch) ?? readBinary(arch)
  loaded.set(arch, known)
  return known
}

async function readBinary(arch: string): Promise<GuestBinary | undefined> {
  if (!/^[a-z0-9]+$/.test(arch)) return undefined
  const bytes = await readFile(join(PACKAGE_ROOT, 'guest', 'bin', `hatchway-guest-${arch}`)).catch(() => undefined)
  if (bytes === undefined) return undefined
  const files = [
    { name: HOLDER_HELPER.slice(1), mode: 0o755, bytes },
    { name: HOLDER_PROGRAM.slice(1), mode: 0o111, bytes },
    { name: `${HOLDER_MOUNT.slice(1)}/`, mode: 0o755 },
  ]
  const tar = tarball(files)
  const layout = files.map(({ name, mode }) => `${name} ${mode}`).join('\n')
  const tag = createHash('sha256').update(layout).update(bytes).digest('hex').slice(0, 16)
  return { bytes, holderImage: { repository: HOLDER_REPOSITORY, tag, tar } }
}
