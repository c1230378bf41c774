/** `docker cp` with a tar on its stdout or stdin: small ones as bytes, others as streams. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Copies } from '../engine.ts'
import { engineError, engineLost, isLinkLoop, unreachable } from '../messages.ts'
import { type Cli, cliMessage } from './run.ts'

const COPY_MS = 60_000
const MAX_STDERR_CHARACTERS = 64 * 1024
const ABSENT = /could not find|no such file|not found/i

export function cliArchives(
  cli: Cli,
  mayCopy: (signal: AbortSignal) => Promise<void>,
  name: (id: string) => string,
  inspect: (id: string, signal: AbortSignal) => Promise<unknown>,
): Copies {
  /** Undefined: the container is there, and no such path in it, or one that goes round in a circle of links. */
  function absent(stderr: string, containerId: string): undefined {
    const text = cliMessage(stderr)
    const error = engineError(text, { container: name(containerId) })
    if (error.code !== 'CONTAINER_NOT_FOUND' && ABSENT.test(text)) return undefined
    if (isLinkLoop(error)) return undefined
    throw error
  }

  async function notCopiedIn(stderr: string, containerId: string, signal: AbortSignal): Promise<never> {
    // Docker's CLI says the same of a missing container as of a missing directory.
    await inspect(containerId, signal)
    throw engineError(cliMessage(stderr), { container: name(containerId) })
  }

  return {
    async copyOut(containerId, path, limit, signal) {
      await mayCopy(signal)
      const args = ['cp', `${containerId}:${path}`, '-']
      const { code, stdout, stderr } = await cli.run(args, { signal, limit, deadline: COPY_MS })
      return code === 0 ? stdout : absent(stderr, containerId)
    },

    async copyIn(containerId, path, tar, signal) {
      await mayCopy(signal)
      const args = ['cp', '-', `${containerId}:${path}`]
      const { code, stderr } = await cli.run(args, { signal, input: tar, deadline: COPY_MS })
      if (code !== 0) await notCopiedIn(stderr, containerId, signal)
    },

    async readArchive(containerId, path, signal): Promise<Readable | undefined> {
      await mayCopy(signal)
      const child = copy(cli, [`${containerId}:${path}`, '-'], signal)
      child.stdin.end()
      const output = new PassThrough()
      // Destroyed by its reader: the CLI would wait for ever on a pipe that nobody reads.
      output.on('error', () => {}).on('close', () => child.kill())
      let began = false
      child.stdout.once('data', () => {
        began = true
      })
      child.stdout.pipe(output, { end: false })
      const ended = child.ended.then(({ code, stderr }) => {
        if (code === 0) output.end()
        else output.destroy(began ? engineLost(new Error(cliMessage(stderr))) : undefined)
        return { code, stderr }
      })
      await Promise.race([ended, once(output, 'readable', { signal })])
      if (began) return output
      const { code, stderr } = await ended
      return code === 0 ? output : absent(stderr, containerId)
    },

    async writeArchive(containerId, path, tar, signal): Promise<void> {
      try {
        await mayCopy(signal)
      } catch (error) {
        tar.destroy()
        throw error
      }
      const child = copy(cli, ['-', `${containerId}:${path}`], signal)
      child.stdout.resume()
      // It may refuse before it has read all: its own words say why, not our broken pipe.
      const sent = pipeline(tar, child.stdin).catch(() => undefined)
      const { code, stderr } = await child.ended
      tar.destroy()
      await sent
      if (code !== 0) await notCopiedIn(stderr, containerId, signal)
    },
  }
}

function copy({ binary, argv }: Cli, args: readonly string[], signal: AbortSignal) {
  const child = spawn(binary, argv(['cp', ...args]), { stdio: 'pipe', signal, killSignal: 'SIGKILL' })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(0, MAX_STDERR_CHARACTERS)
  })
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on('error', () => {})
  const ended = new Promise<{ code: number; stderr: string }>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(signal.aborted ? signal.reason : unreachable(`${binary} cannot be run`, cause)),
    )
    child.once('close', (code) => resolve({ code: code ?? 255, stderr }))
  })
  ended.catch(() => undefined)
  return { stdin: child.stdin, stdout: child.stdout, ended, kill: () => void child.kill('SIGKILL') }
}
