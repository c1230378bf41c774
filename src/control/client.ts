/** The client of the control socket: asks every running gateway of this user, and the one of the system's unit for who may. */
import { unlinkSync } from 'node:fs'
import { request } from 'node:http'
import type { z } from 'zod'
import { PROGRAM_NAME } from '../base/program-name.ts'
import { CliFailure } from './cli-failure.ts'
import {
  type ControlConnections,
  type ControlReload,
  type ControlSessions,
  connectionsAnswer,
  killAnswer,
  reloadAnswer,
  sessionsAnswer,
} from './protocol.ts'
import { controlDirectories, controlSockets, UNIT_SOCKET } from './sockets.ts'

const ANSWER_MS = 5_000
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/** @throws CliFailure when no gateway runs */
export async function allSessions(configured: string | undefined, stopped: boolean): Promise<ControlSessions[]> {
  return ask(configured, 'GET', stopped ? '/sessions?stopped' : '/sessions', sessionsAnswer)
}

/** @throws CliFailure when no gateway runs */
export async function allConnections(configured: string | undefined): Promise<ControlConnections[]> {
  return ask(configured, 'GET', '/connections', connectionsAnswer)
}

/** True when one of the gateways had a live session, or a connection, of that id. */
export async function killOne(
  configured: string | undefined,
  what: 'sessions' | 'connections',
  id: string,
): Promise<boolean> {
  const answers = await ask(configured, 'POST', `/${what}/${id}/kill`, killAnswer)
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
  const alive = answers.filter((answer) => answer !== undefined && answer !== NOT_YOURS)
  if (alive.length === 0) {
    if (answers.includes(NOT_YOURS))
      throw new CliFailure(
        'no gateway of yours is running, but one of the system’s unit: sudo hatchway, or as its user',
      )
    const where = configured ?? [...controlDirectories(), UNIT_SOCKET].join(', ')
    throw new CliFailure(`no gateway of yours is running (looked in ${where}): ${PROGRAM_NAME} serve`)
  }
  return alive.map((answer) => {
    const read = schema.safeParse(answer)
    if (read.success) return read.data
    // Its program was replaced while it ran; or another program listens there.
    throw new CliFailure('the gateway that runs is of another version than this command: restart it', 1, {
      cause: read.error,
    })
  })
}

/** A gateway of the system's unit, for a user who may not ask it. */
const NOT_YOURS = Symbol('not yours')

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
        if (tidy && socketPath !== UNIT_SOCKET) remove(socketPath)
        return resolve(undefined)
      }
      if (error.code === 'EACCES' && tidy && socketPath === UNIT_SOCKET) return resolve(NOT_YOURS)
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
