/** What reads along with a session that moves files: by sftp, or by scp's old protocol. */
import type { FileTap } from '../sftp/file-tap.ts'
import type { SftpOperation } from '../sftp/operations.ts'
import { scpCommand } from '../sftp/scp-command.ts'
import { createScpTap } from '../sftp/scp-tap.ts'
import { createSftpTap } from '../sftp/tap.ts'
import type { SessionStart } from '../ssh/session.ts'

/**
 * Undefined: it does neither, as far as its command says.
 *
 * @param tty a terminal changes bytes on their way: what goes over it is no scp
 */
export function fileTapFor(
  start: SessionStart,
  tty: boolean,
  tell: (operation: SftpOperation) => void,
  withHashes: boolean,
): FileTap | undefined {
  if (start.kind === 'subsystem') return createSftpTap(tell, withHashes)
  const scp = start.kind === 'exec' && !tty ? scpCommand(start.command.toString()) : undefined
  return scp && createScpTap(scp, tell, withHashes)
}
