/** Rules that are well written and may still not be what somebody meant. */

import { globMatches } from '../base/glob.ts'
import type { Rule } from '../config/rules.ts'
import type { Config } from '../config/schema.ts'
import { grants } from './actions.ts'

export interface Advice {
  /** From 0; absent: the table as a whole. */
  readonly rule?: number
  readonly text: string
}

export function advice({ rules, users }: Pick<Config, 'rules' | 'users'>): Advice[] {
  if (!rules) return [{ text: 'there are no rules: whoever may log in may do everything, everywhere, as root, too' }]
  const groups = Object.values(users).flatMap((user) => user.groups)
  return rules.flatMap((rule, index) => oneRule(rule, groups).map((text) => ({ rule: index, text })))
}

function oneRule(rule: Rule, groups: readonly string[]): string[] {
  const { effect, actions, who, users } = rule
  const said: string[] = []
  if (actions?.sftp === 'read-only' && grants(rule, ['shell', 'exec'])) {
    said.push('sftp is to read only, but shell or exec can write all the same')
  }
  if (effect === 'allow' && Array.isArray(actions?.exec) && actions.exec.some((pattern) => /^[*?]/.test(pattern))) {
    said.push('a command pattern that begins with a wildcard allows nearly any command')
  }
  if (effect === 'deny' && Array.isArray(actions?.exec)) {
    said.push('a shell has many ways to write one command: denying patterns keeps nobody from it')
  }
  if (effect === 'allow' && users?.includes('*') && !users.includes('root')) {
    said.push('"*" is everybody but root; name root as well if that is meant')
  }
  for (const group of who?.groups ?? []) {
    if (!groups.some((known) => globMatches(group, known)))
      said.push(`no user of the configuration is in a group ${group}`)
  }
  return said
}
