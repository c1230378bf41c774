/** `hatchway doctor`: what would keep the gateway from working, and what to do about it. */
import { printable } from '../base/printable.ts'
import type { Finding } from './finding.ts'
import type { ConfigFlags } from './flags.ts'

export interface DoctorReport {
  readonly text: string
  /** 1 when the gateway would not work. */
  readonly exitCode: number
}

export async function doctor(flags: ConfigFlags, json: boolean, login?: string): Promise<DoctorReport> {
  const { examine } = await import('./examine.ts')
  const findings = await examine(flags, login)
  const exitCode = findings.some(({ state }) => state === 'fail') ? 1 : 0
  if (json) return { text: `${JSON.stringify(findings, null, 2)}\n`, exitCode }
  return { text: findings.map(lines).join(''), exitCode }
}

function lines({ check, state, found, advice }: Finding): string {
  const head = `${state.toUpperCase().padEnd(5)} ${check.padEnd(12)} ${printable(found)}\n`
  return advice === undefined ? head : `${head}${' '.repeat(19)}-> ${printable(advice)}\n`
}
