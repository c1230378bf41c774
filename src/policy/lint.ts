/** Rules that are well written and may still not be what somebody meant. */

import { anyGlobMatches, globMatches } from '../base/glob.ts'
import type { Rule } from '../config/rules.ts'
import type { Config } from '../config/schema.ts'
import { planContainer, plannedContainer } from '../container/templates/template.ts'
import { grants } from './actions.ts'
import { containerMatches } from './rules.ts'

export interface Advice {
  /** From 0; absent: the table as a whole. */
  readonly rule?: number
  readonly text: string
}

export function advice({ rules, users, templates = {} }: Pick<Config, 'rules' | 'users' | 'templates'>): Advice[] {
  if (!rules) return [{ text: 'there are no rules: whoever may log in may do everything, everywhere, as root, too' }]
  const groups = Object.values(users).flatMap((user) => user.groups)
  return rules.flatMap((rule, index) =>
    [...oneRule(rule, groups), ...aboutCreate(rule, templates)].map((text) => ({ rule: index, text })),
  )
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

/** `create` is asked of the container that would be made: its name, image and labels are what the template gives it. */
function aboutCreate(rule: Rule, templates: NonNullable<Config['templates']>): string[] {
  const { create } = rule.actions ?? {}
  if (create === undefined || create === false) return []
  const known = Object.keys(templates)
  const unknown = create === true ? [] : create.filter((pattern) => !known.some((name) => globMatches(pattern, name)))
  const said = unknown.map((pattern) => `there is no template ${pattern} to create from`)
  const named = create === true ? known : known.filter((name) => anyGlobMatches(create, name))
  const { engines: _anywhere, ...containers } = rule.containers ?? {}
  const matches = (name: string, kind: 'fresh' | 'personal') => {
    const made = planContainer(templates, { template: { name, kind } }, { id: '', name: '' }, {})
    return containerMatches({ containers }, { container: plannedContainer(made) }, { endpoint: '' })
  }
  if (named.length > 0 && !named.some((name) => matches(name, 'fresh') || matches(name, 'personal')))
    said.push(
      `no container made from ${named.join(', ')} is one of its containers: create never applies (labels: { hatchway.template: ${named[0]} } is one)`,
    )
  return said
}
