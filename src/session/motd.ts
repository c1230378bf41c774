/**
 * PrintMotd: the operator's message to a person who logs in with a shell on a terminal, read anew for each, as sshd does.
 */
import { open } from 'node:fs/promises'
import type { Logger } from 'pino'
import type { SshSession } from '../ssh/session.ts'

/** More would scroll away unread. */
const MAX_MOTD_BYTES = 64 * 1024

/** Lines as a terminal wants them. Rejects when the file cannot be read. */
export async function readMotd(path: string): Promise<Buffer> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(MAX_MOTD_BYTES), position: 0 })
    // Latin-1 keeps every byte what it is.
    return Buffer.from(buffer.toString('latin1', 0, bytesRead).replaceAll(/\r?\n/g, '\r\n'), 'latin1')
  } finally {
    await file.close()
  }
}

/** What a person who logs in with a shell on a terminal reads first. A session whose message fails goes on without it. */
export async function greet(
  session: Pick<SshSession, 'write'>,
  motd: () => Promise<Buffer | undefined>,
  log: Logger,
): Promise<void> {
  try {
    const text = await motd()
    if (text) session.write(1, text)
  } catch (error) {
    log.warn({ err: error }, 'the motd cannot be read')
  }
}
