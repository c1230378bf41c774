/**
 * A container's specification (OCI runtime-spec, config.json), as containerd keeps it: what it tells of the container, and what
 * the process of an exec is made of.
 */
import { z } from 'zod'
import { HatchwayError } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import type { ExecSpec, Mount } from '../engine.ts'

const texts = z.array(z.string()).nullish().catch([])
const capabilities = z.looseObject({ ambient: texts, inheritable: texts })

const processShape = z.looseObject({
  user: z
    .looseObject({ uid: z.number().catch(0), gid: z.number().catch(0), additionalGids: z.array(z.number()).nullish() })
    .catch({ uid: 0, gid: 0 }),
  env: texts,
  cwd: z.string().catch('/'),
  capabilities: capabilities.optional().catch(undefined),
})

const specification = z.looseObject({
  process: processShape.catch({ user: { uid: 0, gid: 0 }, env: [], cwd: '/' }),
  root: z.looseObject({ readonly: z.boolean().catch(false) }).catch({ readonly: false }),
  mounts: z
    .array(
      z.looseObject({
        destination: z.string(),
        type: z.string().catch(''),
        source: z.string().catch(''),
        options: texts,
      }),
    )
    .nullish()
    .catch([]),
})

export type ContainerdSpec = z.infer<typeof specification>

/** @throws HatchwayError ENGINE_ERROR */
export function parseSpec(json: Buffer): ContainerdSpec {
  try {
    return specification.parse(JSON.parse(json.toString('utf8')))
  } catch (cause) {
    throw new HatchwayError('ENGINE_ERROR', 'the container has no specification that can be read', { cause })
  }
}

/** Those that every container has from its client, and nobody asked for. */
const USUAL_BINDS: readonly string[] = ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf']
const USUAL_TMPFS: readonly string[] = ['/dev', '/dev/shm', '/run']

export function mountsOf({ mounts }: ContainerdSpec): Mount[] {
  return (mounts ?? []).flatMap(({ type, source, destination, options }): Mount[] => {
    const readOnly = options?.includes('ro') ?? false
    const isBind = type === 'bind' || options?.includes('bind') || options?.includes('rbind')
    if (isBind && !USUAL_BINDS.includes(destination)) return [{ type: 'bind', source, destination, readOnly }]
    if (type === 'tmpfs' && !USUAL_TMPFS.includes(destination))
      return [{ type: 'tmpfs', source: '', destination, readOnly }]
    return []
  })
}

/** "uid:gid", as ExecSpec.user; the container's own. */
export function userOf({ process: { user } }: ContainerdSpec): string {
  return `${user.uid}:${user.gid}`
}

const NUMERIC = /^\d{1,10}(?::\d{1,10}(?:,\d{1,10})*)?$/
/** As runc's own limit. */
const MAX_ID = 2 ** 31 - 1

/** @throws HatchwayError USER_NOT_FOUND: containerd knows no names, and no larger numbers */
function numericUser(user: string): { uid: number; gid: number; additionalGids: number[] } {
  const [uid = 0, gid = 0, ...others] = NUMERIC.test(user) ? user.split(/[:,]/).map(Number) : []
  if (!NUMERIC.test(user) || [uid, gid, ...others].some((id) => id > MAX_ID)) {
    throw new HatchwayError('USER_NOT_FOUND', `no user ${oneLine(user, 80)} in the container`)
  }
  // The first group is among them, as with initgroups(3): a program that changes its group does not lose what that one is denied.
  return { uid, gid, additionalGids: [gid, ...others] }
}

/** The OCI process of an exec: as the container's own, but for what is asked. */
export function execProcess({ process }: ContainerdSpec, { argv, user, cwd, env, tty }: ExecSpec): object {
  // Docker's `exec -u` does so: whoever is named has the groups of that user and not those the container was run with.
  const runAs = user === '' ? process.user : numericUser(user)
  const isOwnUser = runAs.uid === process.user.uid
  const asked = env.filter((entry) => entry.indexOf('=') > 0)
  const names = new Set(asked.map(nameOf))
  const hasTerm = [...(process.env ?? []), ...asked].some((entry) => nameOf(entry) === 'TERM')
  return {
    ...process,
    user: runAs,
    args: argv,
    commandLine: undefined,
    terminal: tty !== undefined,
    consoleSize: tty && { width: tty.cols, height: tty.rows },
    cwd: cwd === '' ? process.cwd : cwd,
    env: [
      ...(process.env ?? []).filter((entry) => !names.has(nameOf(entry))),
      ...(tty && !hasTerm ? ['TERM=xterm'] : []),
      ...asked,
    ],
    // What the container's own user was given as ambient is not for another one: it would be root's for anybody.
    capabilities: process.capabilities && {
      ...process.capabilities,
      ...(isOwnUser ? {} : { ambient: [], inheritable: [] }),
    },
  }
}

function nameOf(entry: string): string {
  return entry.split('=', 1)[0] ?? ''
}
