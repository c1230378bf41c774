/**
 * The person's own gateways that run, each asked for its status. By hand, and not by client.ts: `hatchway connect` is
 * started for every connection, and loads neither HTTP nor schemas for it.
 */
import { accessSync, constants } from 'node:fs'
import { connect } from 'node:net'
import { socketAnswers } from '../base/socket-answers.ts'
import { controlSockets, gatewayBehind } from './sockets.ts'

export interface RunningGateway {
  readonly pid: number
  readonly endpoints: readonly { readonly host: string; readonly port: number }[]
  /** "ssh-ed25519 AAAA..." */
  readonly hostKeys: readonly string[]
}

const ANSWER_MS = 1_000
const MAX_ANSWER_BYTES = 64 * 1024

/** @param configured the control socket's path, where that is not the usual one */
export async function runningGateways(configured: string | undefined): Promise<RunningGateway[]> {
  const answers = await Promise.all(controlSockets(configured).map(askStatus))
  return answers.map(gatewayOf).filter((gateway) => gateway !== undefined)
}

/** Those that have a socket which is listened on, and give no answer there: stopped, or in an endless computation. */
export async function silentGateways(configured: string | undefined): Promise<string[]> {
  const silent = await Promise.all(
    controlSockets(configured).map(async (path) => {
      if (gatewayOf(await askStatus(path)) !== undefined || !mayAsk(path)) return []
      return (await socketAnswers(path)) ? [gatewayBehind(path)] : []
    }),
  )
  return silent.flat()
}

function mayAsk(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Undefined: nobody answers there in time. */
function askStatus(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect(path)
    socket.setEncoding('utf8').setTimeout(ANSWER_MS, () => socket.destroy())
    socket.on('error', () => {})
    socket.on('data', (part) => {
      text += part
      if (text.length > MAX_ANSWER_BYTES) socket.destroy()
    })
    socket.on('close', () => resolve(/^HTTP\/1\.[01] 200 .*?\r\n\r\n(.*)$/s.exec(text)?.[1]))
    // An answer to HTTP 1.0 is not in chunks, and the connection ends with it.
    socket.end('GET /status HTTP/1.0\r\n\r\n')
  })
}

function gatewayOf(text: string | undefined): RunningGateway | undefined {
  try {
    const status: unknown = JSON.parse(text ?? '')
    const pid = member(status, 'pid')
    if (typeof pid !== 'number') return undefined
    return {
      pid,
      endpoints: list(status, 'endpoints').flatMap(endpointOf),
      hostKeys: list(status, 'hostKeys').filter(isText),
    }
  } catch {
    return undefined
  }
}

function endpointOf(value: unknown): { host: string; port: number }[] {
  const [address, port] = [member(value, 'address'), member(value, 'port')]
  if (!isText(address) || typeof port !== 'number') return []
  return [{ host: address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address, port }]
}

function list(value: unknown, key: string): readonly unknown[] {
  const found = member(value, key)
  return Array.isArray(found) ? found : []
}

function member(value: unknown, key: string): unknown {
  return value instanceof Object ? Reflect.get(value, key) : undefined
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
