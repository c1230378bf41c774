/** A table's verdict as a decision, with the sentence for the person who is refused. */

import { refusalSentence } from './messages.ts'
import type { Decision, Request, Step } from './request.ts'
import { firstRule, type RuleTable } from './rules.ts'

export function byRules(table: RuleTable, request: Request, now: Date, step: Step = () => undefined): Decision {
  const verdict = firstRule(table, request, now, ({ title }, why) => step(title, `does not apply: ${why}`))
  if (!verdict) return { allowed: false, by: 'no rule', reason: refusalSentence(request) }
  const { allowed, by, readOnly, record } = verdict
  if (allowed) return { allowed, by: by.title, readOnly, ...(record && { record }) }
  return { allowed, by: by.title, reason: refusalSentence(request, by.rule.message) }
}
