import type { Container } from './engine.ts'

/**
 * The copy call, and what tells of a path without reading it, have Docker mount all volumes of the container, whatever
 * the path. Where one hangs (a dead NFS server, a FUSE file system without its program) the call hangs, and it holds the
 * container's lock: exec, stop and rm of that container hang from then on, anybody's. An exec mounts nothing.
 */
export function copyMayHang({ mounts }: Pick<Container, 'mounts'>): boolean {
  return mounts.some(({ type }) => type !== 'tmpfs')
}
