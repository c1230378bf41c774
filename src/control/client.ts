/** The client of the control socket: asks every running gateway of this user, and the one of the system's unit for who may. */
import { unlinkSync } from 'node:fs'
import { request } from 'node:http'
import type { z } from 'zod'
import { printable } from '../base/printable.ts'
import { PROGRAM_NAME } from '../base/program-name.ts'
import { CliFailure } from './cli-failure.ts'
import {
  adminTokenAnswer,
  type ControlAdminToken,
  type ControlConnections,
  type ControlDrain,
  type ControlReload,
  type ControlRestart,
  type ControlSessions,
  connectionsAnswer,
  drainAnswer,
  killAnswer,
  reloadAnswer,
  restartAnswer,
  sessionsAnswer,
} from './protocol.ts'
import { controlDirectories, controlSockets, gatewayBehind, UNIT_SOCKET } from './sockets.ts'

const ANSWER_MS = 5_000
/** A new gateway is started meanwhile, perhaps beside an engine that hangs. */
const RESTART_MS = 75_000
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/** Which gateway answered: to ask that one again. */
export interface FromSocket {
  readonly socket: string
}

/** Takes a sentence about a gateway that did not answer; what the others answered counts all the same. */
export type Warn = (sentence: string) => void

/** @throws CliFailure when no gateway answers */
export async function allSessions(
  configured: string | undefined,
  stopped: boolean,
  warn: Warn = toStderr,
): Promise<(ControlSessions & FromSocket)[]> {
  return ask(configured, 'GET', stopped ? '/sessions?stopped' : '/sessions', sessionsAnswer, warn)
}

/** @throws CliFailure when no gateway answers */
export async function allConnections(
  configured: string | undefined,
  warn: Warn = toStderr,
): Promise<(ControlConnections & FromSocket)[]> {
  return ask(configured, 'GET', '/connections', connectionsAnswer, warn)
}

/** False: that gateway has no live session, or connection, of that id any more. @throws CliFailure when it does not answer */
export async function killOne(socket: string, what: 'sessions' | 'connections', id: string): Promise<boolean> {
  const answers = await ask(socket, 'POST', `/${what}/${id}/kill`, killAnswer, toStderr)
  return answers.some(({ killed }) => killed)
}

/** @throws CliFailure when no gateway answers */
export async function reloadGateways(configured: string | undefined, warn: Warn): Promise<ControlReload[]> {
  return ask(configured, 'POST', '/reload', reloadAnswer, warn)
}

/** @throws CliFailure when no gateway answers */
export async function restartGateways(configured: string | undefined, warn: Warn): Promise<ControlRestart[]> {
  return ask(configured, 'POST', '/restart', restartAnswer, warn, RESTART_MS)
}

/** @throws CliFailure when no gateway answers */
export async function drainGateways(configured: string | undefined, warn: Warn): Promise<ControlDrain[]> {
  return ask(configured, 'POST', '/drain', drainAnswer, warn)
}

/** @throws CliFailure when no gateway answers */
export async function adminTokens(configured: string | undefined, name: string): Promise<ControlAdminToken[]> {
  return ask(configured, 'POST', `/admin-token?${name}`, adminTokenAnswer, toStderr)
}

async function ask<T>(
  configured: string | undefined,
  method: string,
  path: string,
  schema: z.ZodType<T>,
  warn: Warn,
  answerMs = ANSWER_MS,
): Promise<(T & FromSocket)[]> {
  const answers: (T & FromSocket)[] = []
  const failures: CliFailure[] = []
  let isUnit = false
  const one = async (socket: string) => {
    try {
      const tidies = socket !== (configured ?? UNIT_SOCKET)
      // What one that hangs has been asked it does when it wakes, when nobody waits for it any more.
      const awake = method === 'GET' || (await call(socket, 'GET', '/status', { answerMs: ANSWER_MS, tidies }))
      const isAsked = awake !== undefined && awake !== NOT_YOURS
      const answer = isAsked ? await call(socket, method, path, { answerMs, tidies }) : awake
      if (answer === NOT_YOURS) isUnit = true
      else if (answer !== undefined) answers.push({ ...read(answer, schema), socket })
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(String(error))
      failures.push(new CliFailure(`${gatewayBehind(socket)} ${cause.message}`, 1, { cause }))
    }
  }
  await Promise.all(controlSockets(configured).map(one))
  const sentences = failures.map(({ message }) => message)
  if (answers.length > 0) {
    for (const sentence of sentences) warn(sentence)
    return eachOnce(answers.sort((a, b) => (a.socket < b.socket ? -1 : 1)))
  }
  if (failures.length > 0) throw new CliFailure(sentences.join('; '), 1, { cause: failures[0]?.cause })
  if (isUnit)
    throw new CliFailure('no gateway of yours is running, but one of the system’s unit: sudo hatchway, or as its user')
  const where = configured ?? [...controlDirectories(), UNIT_SOCKET].join(', ')
  throw new CliFailure(`no gateway of yours is running (looked in ${where}): ${PROGRAM_NAME} serve`)
}

/** A gateway that is handing over has two names for its socket. */
function eachOnce<T>(answers: readonly T[]): T[] {
  const pids = answers.map((answer) => (answer instanceof Object ? Reflect.get(answer, 'pid') : undefined))
  return answers.filter((_, index) => pids[index] === undefined || pids.indexOf(pids[index]) === index)
}

/** @throws Error */
function read<T>(answer: unknown, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(answer)
  if (parsed.success) return parsed.data
  // Its program was replaced while it ran; or another program listens there.
  throw new Error('is of another version than this command: stop and start it', {
    cause: parsed.error,
  })
}

const said = new Set<string>()

/** Once: `--watch` asks every two seconds, and `kill` several times. */
function toStderr(sentence: string): void {
  if (said.has(sentence)) return
  said.add(sentence)
  process.stderr.write(`hatchway: ${printable(sentence)}\n`)
}

/** A gateway of the system's unit, for a user who may not ask it. */
const NOT_YOURS = Symbol('not yours')

/**
 * Undefined: nobody answers there. The socket of a gateway that was killed is removed on the way.
 *
 * @throws Error what is to be said of the gateway
 */
function call(
  socketPath: string,
  method: string,
  path: string,
  { answerMs, tidies }: { readonly answerMs: number; readonly tidies: boolean },
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, timeout: answerMs, agent: false }, (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > MAX_ANSWER_BYTES) outgoing.destroy(new Error('gives too long an answer'))
        else chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('end', () => resolve(parsed(Buffer.concat(chunks).toString('utf8'))))
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error(`does not answer within ${answerMs / 1000} s`)))
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return resolve(undefined)
      if (error.code === 'ECONNREFUSED') {
        if (tidies) remove(socketPath)
        return resolve(undefined)
      }
      if (error.code === 'EACCES' && !tidies && socketPath === UNIT_SOCKET) return resolve(NOT_YOURS)
      if (error.code === undefined) return reject(error)
      const why = error.code === 'EACCES' ? 'belongs to somebody else' : `cannot be asked: ${error.message}`
      reject(new Error(why, { cause: error }))
    })
    outgoing.end()
  })
}

/** What is no JSON is no answer that a gateway of this version gives. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Another one was faster.
  }
}
