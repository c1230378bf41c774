/** The client of the control socket: asks every running gateway of this user. */
import { unlinkSync } from 'node:fs'
import { request } from 'node:http'
import type { z } from 'zod'
import { CliFailure } from './cli-failure.ts'
import { type ControlReload, type ControlSessions, killAnswer, reloadAnswer, sessionsAnswer } from './protocol.ts'
import { controlDirectories, controlSockets } from './sockets.ts'

const ANSWER_MS = 5_000
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/** @throws CliFailure when no gateway runs */
export async function allSessions(configured: string | undefined, stopped: boolean): Promise<ControlSessions[]> {
  return ask(configured, 'GET', stopped ? '/sessions?stopped' : '/sessions', sessionsAnswer)
}

/** True when one of the gateways had a live session of that id. */
export async function killSession(configured: string | undefined, id: string): Promise<boolean> {
  const answers = await ask(configured, 'POST', `/sessions/${id}/kill`, killAnswer)
  return answers.some(({ killed }) => killed)
}

export async function reloadGateways(configured: string | undefined): Promise<ControlReload[]> {
  return ask(configured, 'POST', '/reload', reloadAnswer)
}

async function ask<T>(
  configured: string | undefined,
  method: string,
  path: string,
  schema: z.ZodType<T>,
): Promise<T[]> {
  const sockets = controlSockets(configured)
  const answers = await Promise.all(sockets.map((socket) => call(socket, method, path, configured === undefined)))
  const alive = answers.filter((answer) => answer !== undefined)
  if (alive.length === 0) {
    const where = configured ?? controlDirectories().join(', ')
    throw new CliFailure(`no gateway of yours is running (looked in ${where}): hatchway serve`)
  }
  return alive.map((answer) => schema.parse(answer))
}

/** Undefined: nobody answers there. The socket of a gateway that was killed is removed on the way. */
function call(socketPath: string, method: string, path: string, tidy: boolean): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, timeout: ANSWER_MS, agent: false }, (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > MAX_ANSWER_BYTES) outgoing.destroy(new Error('the answer is too long'))
        else chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('end', () => {
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')))
        } catch (error) {
          reject(error)
        }
      })
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error(`the gateway behind ${socketPath} does not answer`)))
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return resolve(undefined)
      if (error.code === 'ECONNREFUSED') {
        if (tidy) remove(socketPath)
        return resolve(undefined)
      }
      const reason = error.code === 'EACCES' ? `${socketPath} belongs to somebody else` : error.message
      reject(new CliFailure(`cannot ask the gateway: ${reason}`, 1, { cause: error }))
    })
    outgoing.end()
  })
}

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Another one was faster.
  }
}
