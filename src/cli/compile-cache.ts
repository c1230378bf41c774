/** Compiled code kept for the next start, where node can (22.1 on): `hatchway stdio` is started for every connection. */
import module from 'node:module'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/** In a directory of our own: node's default is in /tmp, where others could lay down code for us. */
export function keepCompiledCode(): void {
  const node: object = module
  if (!('enableCompileCache' in node) || typeof node.enableCompileCache !== 'function') return
  const configured = process.env.XDG_CACHE_HOME ?? ''
  node.enableCompileCache(join(isAbsolute(configured) ? configured : join(homedir(), '.cache'), 'hatchway', 'compiled'))
}
