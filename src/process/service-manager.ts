/**
 * systemd, which started this gateway as a service of Type=notify. Node has no datagram sockets of the unix kind, so
 * systemd-notify(1) speaks; it waits until systemd has read what it said.
 *
 * A stop ends the service's main process, and waits for it: a gateway whose connections go on must be another one. So the
 * main process is a shell that waits for the gateway, and ends as it does. (That another process is the main one now can be
 * said at any time, but up to systemd 252 no longer once it stops the service.)
 */
import { execFile, spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { promisify } from 'node:util'
import { deadline } from '../lifetime/deadline.ts'

const NOTIFY_MS = 5_000
/** Where the gateway crashed nobody says how it ended: EX_SOFTWARE. */
const WAITER = `trap '' HUP INT USR1 USR2; read -r code <&3; exit "\${code:-70}"`
/** Orphans are systemd's, which learns of their end. */
const ORPHAN = 'sh -c "$1" hatchway </dev/null >/dev/null 2>&1 & echo $!'

export interface ServiceManager {
  /** For a successor. */
  readonly environment: NodeJS.ProcessEnv
  /**
   * This gateway is the service now. `stopped` is called if systemd stops the service without having said so to the gateway.
   * @throws Error
   */
  ready(stopped: () => void): Promise<void>
  /** This gateway is the service no longer, and not by a fault. Idempotent, never throws. */
  leave(): Promise<void>
}

export function createServiceManager(socket: string): ServiceManager {
  const environment = { NOTIFY_SOCKET: socket }
  let waiter: Duplex | undefined
  let hasLeft = false

  return {
    environment,
    async ready(stopped) {
      const { pid, line } = await startWaiter()
      waiter = line
      line.once('close', () => {
        if (!hasLeft) stopped()
      })
      const env = { ...process.env, ...environment }
      await promisify(execFile)('systemd-notify', ['--ready', `--pid=${pid}`], { env, signal: deadline(NOTIFY_MS) })
    },
    async leave() {
      if (hasLeft) return
      hasLeft = true
      await new Promise<void>((resolve) => (waiter ? waiter.end('0\n', () => resolve()) : resolve()))
    },
  }
}

function startWaiter(): Promise<{ pid: number; line: Duplex }> {
  return new Promise((resolve, reject) => {
    const shell = spawn('/bin/sh', ['-c', ORPHAN, 'sh', WAITER], { stdio: ['ignore', 'pipe', 'ignore', 'pipe'] })
    shell.once('error', reject)
    const [, output, , line] = shell.stdio as unknown as [null, Duplex, null, Duplex]
    let text = ''
    output.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    line.on('error', () => {}).resume()
    shell.once('close', () => reject(new Error('no process could be started')))
    output.once('close', () => {
      if (Number(text) > 1) resolve({ pid: Number(text), line })
    })
  })
}
