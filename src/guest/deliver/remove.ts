/** Remove a file of root's from a container that may have neither a shell nor `rm`: the helper itself does, as root. */
import { type Container, type Engine, engineOf } from '../../engine/engine.ts'
import { execIn } from '../../engine/exec-in.ts'
import { OWN_ENVIRONMENT } from '../../engine/own-path.ts'
import { runToEnd, UNHEARD } from '../../engine/own-program.ts'
import { deadline } from '../../lifetime/deadline.ts'
import { unlessAborted } from '../../lifetime/on-abort.ts'
import type { GuestConnection } from '../connection.ts'
import type { Serve } from '../serve.ts'
import type { GuestUser } from '../user.ts'

const REMOVE_MS = 30_000
const ROOT: GuestUser = { exec: '0:0', uid: 0, gid: 0 }
/** draft-ietf-secsh-filexfer-02 §3. */
const INIT = 1
const REMOVE = 13

/** True when it is gone for certain. `helper`: the one that runs from that file, which is enough where it is root's. */
export async function removeHelper(
  engine: Engine,
  serve: Serve,
  container: Container,
  path: string,
  helper?: GuestConnection,
): Promise<boolean> {
  const signal = deadline(REMOVE_MS)
  if (helper?.identity.uid === 0) await removeBy(helper, path, signal).catch(() => {})
  else {
    const root = await serve(container, ROOT, [path, 'serve'], signal).catch(() => undefined)
    if (root !== undefined) await removeBy(root, path, signal).catch(() => {})
    root?.close()
  }
  if (await isGone(engine, container, path, signal)) return true
  const spec = { argv: ['/bin/rm', '-f', path], user: '0:0', cwd: '/', env: OWN_ENVIRONMENT } as const
  await runToEnd(await execIn(engine, container.id, spec, UNHEARD, signal), signal)
  return isGone(engine, container, path, signal)
}

async function isGone(engine: Engine, container: Container, path: string, signal: AbortSignal): Promise<boolean> {
  const { copies } = engineOf(engine, container.id)
  // It came by a copy call: there is one, but where the configuration names another engine by now.
  if (copies === undefined) return false
  const found = copies.statPath
    ? await copies.statPath(container.id, path, signal)
    : await copies.copyOut(container.id, path, 1, signal)
  return found === undefined
}

/** The answers are not looked at: whether the file is gone is asked of the engine. */
async function removeBy(helper: GuestConnection, path: string, signal: AbortSignal): Promise<void> {
  const exec = await helper.sftp({ directory: '/', readOnly: false }, UNHEARD, signal)
  try {
    exec.stdin.write(packet(INIT, u32(3)))
    const name = Buffer.from(path)
    exec.stdin.end(packet(REMOVE, u32(1), u32(name.length), name))
    // It serves what was sent before it takes the end of its input.
    await unlessAborted(exec.exit, signal)
  } finally {
    exec.close()
  }
}

function packet(type: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.from([type]), ...parts])
  return Buffer.concat([u32(body.length), body])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
