/** `hatchway doctor`: what would keep the gateway from working, and what to do about it. */
import { printable } from '../base/printable.ts'
import { PROGRAM_NAME } from '../base/program-name.ts'
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
  return { text: `${findings.map(lines).join('')}\n${whatToDo(findings)}\n`, exitCode }
}

function whatToDo(findings: readonly Finding[]): string {
  if (findings.some(({ state }) => state === 'fail'))
    return 'Do what stands behind "->" after each FAIL, and run this again.'
  const runs = findings.some(({ check, found }) => check === 'port' && found.includes('your gateway listens'))
  if (!runs) return `Type: ${PROGRAM_NAME} serve`
  const known = findings.some(({ hasHosts }) => hasHosts)
  return known ? 'Type: ssh USER@CONTAINER' : `Type: ${PROGRAM_NAME} config-ssh, then ssh USER@CONTAINER`
}

function lines({ check, state, found, advice }: Finding): string {
  const head = `${state.toUpperCase().padEnd(5)} ${check.padEnd(12)} ${printable(found)}\n`
  return advice === undefined ? head : `${head}${' '.repeat(19)}-> ${printable(advice)}\n`
}
