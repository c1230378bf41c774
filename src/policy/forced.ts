/**
 * command= of a key, force-command of a certificate: what a session runs in place of what its client asked for, as
 * session.c do_exec() has it. Pure.
 */

import { HatchwayError } from '../base/errors.ts'
import { textOf } from '../bytes/byte-text.ts'
import type { SessionStart } from '../ssh/session.ts'

export interface EffectiveStart {
  readonly start: SessionStart
  /** What the client asked for, where something else runs: SSH_ORIGINAL_COMMAND. Absent for a shell. */
  readonly original?: string
  /** Arguments of command="internal-sftp ...". */
  readonly sftp: SftpArguments
}

interface SftpArguments {
  /** It was forced: sshd serves it itself, whatever the user's shell. */
  readonly internal: boolean
  readonly readOnly: boolean
  readonly directory?: string
}

/** sshd_config(5) ForceCommand: the server's own sftp, with sftp-server's options. */
const INTERNAL_SFTP = /^internal-sftp(?:[ \t]+(.*))?$/s

/** @throws HatchwayError LOGIN_REFUSED where only sftp is served and something else was asked for */
export function effectiveStart(start: SessionStart, forced: string | undefined): EffectiveStart {
  if (forced === undefined) return { start, sftp: { internal: false, readOnly: false } }
  const original = originalCommand(start)
  const internal = INTERNAL_SFTP.exec(forced)
  if (!internal) {
    const instead: SessionStart = { kind: 'exec', command: Buffer.from(forced) }
    return { start: instead, sftp: { internal: false, readOnly: false }, ...(original !== undefined && { original }) }
  }
  if (start.kind !== 'subsystem') throw new HatchwayError('LOGIN_REFUSED', 'This service allows sftp connections only.')
  return { start, sftp: sftpArguments(internal[1] ?? ''), ...(original !== undefined && { original }) }
}

function originalCommand(start: SessionStart): string | undefined {
  if (start.kind === 'shell') return undefined
  // The command that sshd's Subsystem line would have: the server's own.
  return start.kind === 'subsystem' ? 'internal-sftp' : textOf(start.command)
}

/** sftp-server(8): -R and -d have a meaning here, what concerns its log has none, anything else may be a restriction. */
function sftpArguments(text: string): SftpArguments {
  let readOnly = false
  let directory: string | undefined
  const words = text.split(/[ \t]+/).filter((word) => word !== '')
  for (let at = 0; at < words.length; at++) {
    const word = words[at]
    if (word === '-R') readOnly = true
    else if (word === '-d') directory = words[++at]
    else if (word === '-f' || word === '-l') at++
    else if (word !== '-e') {
      throw new HatchwayError('NOT_SUPPORTED', `the forced internal-sftp has an option that is not served: ${word}`)
    }
  }
  return { internal: true, readOnly, ...(directory !== undefined && { directory }) }
}
