/** Every word that a record has as its `action`: what is searched for, and what docs/audit.md explains. */
import { globMatches } from '../../base/glob.ts'

/** Of the trail itself: nobody did anything. */
export const TRAIL_ACTIONS = ['trail', 'head', 'sealed', 'records-lost', 'cut', 'disturbed'] as const

export const AUDIT_ACTIONS = [
  'login',
  'logout',
  'connection',
  'source-refused',
  'session-start',
  'session-end',
  'session-recorded',
  'gateway-command',
  'file',
  'forward-start',
  'forward-end',
  'listener-start',
  'listener-end',
  'jump',
  'policy',
  'kill',
  'admin-token',
  'admin-sign-in',
  'admin-sign-out',
  'fault',
  'reload',
  'container-accompanied',
  'container-made',
  'container-started',
  'container-unpaused',
  'container-stopped',
  'container-removed',
  'container-swept',
  'gateway-start',
  'gateway-release',
  'gateway-drain',
  'gateway-end',
  ...TRAIL_ACTIONS,
] as const

export type TrailAction = (typeof TRAIL_ACTIONS)[number]
export type AuditAction = (typeof AUDIT_ACTIONS)[number]

/** @param pattern "session-*" */
export function matchesAnAction(pattern: string): boolean {
  return AUDIT_ACTIONS.some((action) => globMatches(pattern, action))
}
