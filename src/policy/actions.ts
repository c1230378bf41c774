/** Does a rule speak of an action? Lists are exact where the rule allows, and generous where it denies. */
import path from 'node:path'
import { anyGlobMatches, globMatches } from '../base/glob.ts'
import type { Rule } from '../config/rules.ts'
import { hostPortMatches, listenMatches } from './addresses.ts'
import type { Action } from './request.ts'

/** What one can come for; the others only accompany these. */
export const PURPOSES = ['shell', 'exec', 'sftp', 'forwardLocal', 'forwardRemote', 'forwardSocket', 'start'] as const
export type Purpose = (typeof PURPOSES)[number]

/** `enter` is not asked here: it is about all the others. */
export type Deed = Exclude<Action, { kind: 'enter' }>

export function covers(rule: Rule, action: Deed, acceptEnv: readonly string[]): boolean {
  const { effect, actions } = rule
  const all = actions === undefined
  switch (action.kind) {
    case 'shell':
    case 'agent':
    case 'x11':
    case 'start':
    case 'debug':
      return all || actions[action.kind] === true
    case 'create':
      return all || listed(actions.create, (pattern) => globMatches(pattern, action.template))
    case 'exec':
      return all || listed(actions.exec, (pattern) => commandMatches(pattern, action.command, effect))
    case 'sftp':
      return all || (actions.sftp ?? false) !== false
    case 'pty':
      return all || (actions.pty ?? (effect === 'allow' && grants(rule, ['shell', 'exec'])))
    case 'env': {
      const given = actions?.env
      if (given !== undefined) return listed(given, (pattern) => globMatches(pattern, action.name))
      if (effect === 'deny') return all
      return (all || grants(rule, ['shell', 'exec', 'sftp'])) && anyGlobMatches(acceptEnv, action.name)
    }
    case 'forward-local':
      return all || listed(actions.forwardLocal, (pattern) => hostPortMatches(pattern, action, effect))
    case 'forward-remote':
      return all || listed(actions.forwardRemote, (pattern) => listenMatches(pattern, action, effect))
    case 'forward-socket':
      return all || listed(actions.forwardSocket, (pattern) => pathMatches(pattern, action.path, effect))
  }
}

function listed<T>(given: boolean | readonly T[] | undefined, matches: (entry: T) => boolean): boolean {
  return Array.isArray(given) ? given.some(matches) : given === true
}

/** The rule lets one do some of that, or all of it. */
export function grants({ actions }: Rule, purposes: readonly Purpose[]): boolean {
  return actions === undefined || purposes.some((purpose) => (actions[purpose] ?? false) !== false)
}

/** Purposes that the rule speaks of whole, whatever command or port it is. */
export function wholly({ actions }: Rule): readonly Purpose[] {
  return actions === undefined ? PURPOSES : PURPOSES.filter((purpose) => actions[purpose] === true)
}

/**
 * The command goes to a shell. Where "git *" allows, "git log; sh" must not pass: a wildcard stands for letters, digits,
 * blanks and what means nothing to any shell; the rest must be in the pattern as it is.
 */
function commandMatches(pattern: string, command: Buffer, effect: Rule['effect']): boolean {
  return globMatches(pattern, command.toString(), effect === 'allow' ? meansNothing : undefined)
}

const HARMLESS = new Set(Buffer.from(' -_./,:=@%+'))

function meansNothing(code: number): boolean {
  const letter = (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57)
  return letter || code >= 0x80 || HARMLESS.has(code)
}

/**
 * The kernel gets the path as it was asked for, and ".." leads where a link of the container's points. Where a rule allows,
 * a path is absolute and without detours; one that denies means it with them too, and a relative one, which may lead
 * anywhere. Links themselves are the container's own.
 */
function pathMatches(pattern: string, asked: string, effect: Rule['effect']): boolean {
  const direct = path.posix.resolve('/', asked)
  if (effect === 'allow') return asked === direct && globMatches(pattern, asked)
  return !asked.startsWith('/') || globMatches(pattern, asked) || globMatches(pattern, direct)
}
