/** Headless Chromium, driven by its DevTools protocol over a pipe (--remote-debugging-pipe): no port, no package. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { z } from 'zod'
import { run } from './run.ts'

export interface Page {
  open(url: string): Promise<void>
  /** The value of a JavaScript expression in the page. */
  evaluate(expression: string): Promise<unknown>
  /** Keys with a modifier, as "Ctrl+`"; DevTools wants code and virtual key code too. */
  press(key: { key: string; code: string; keyCode: number; ctrl?: boolean; text?: string }): Promise<void>
  type(text: string): Promise<void>
  screenshot(): Promise<Buffer>
  close(): Promise<void>
}

/** Why no browser can be run here; undefined when one can. */
export async function whyNoChromium(): Promise<string | undefined> {
  const found = await run('sh', ['-c', 'command -v chromium'])
  return found.code === 0 ? undefined : 'chromium is not installed (apt-get install chromium)'
}

const Message = z.object({
  id: z.number().optional(),
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.object({ message: z.string() }).optional(),
})
const ENTER = { key: 'Enter', code: 'Enter', keyCode: 13, text: '\r' }

export async function openPage(args: readonly string[]): Promise<Page> {
  const profile = await mkdtemp(join(tmpdir(), 'hw-test-chromium-'))
  const child = spawn(
    'chromium',
    [
      // Its sandbox needs user namespaces or a setuid program; what it opens here is our own.
      ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
      ...['--remote-debugging-pipe', `--user-data-dir=${profile}`, '--window-size=1280,900', ...args, 'about:blank'],
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
  )
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()))
  child.on('error', () => {})
  const commands = child.stdio[3] as Writable
  const answers = child.stdio[4] as Readable
  const waiting = new Map<number, { resolve: (result: Record<string, unknown>) => void; reject: (e: Error) => void }>()
  const failAll = (message: string) => {
    for (const { reject } of waiting.values()) reject(new Error(message))
    waiting.clear()
  }
  commands.on('error', () => failAll('chromium is gone'))
  void gone.then(() => failAll('chromium is gone'))
  let rest = ''
  answers.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\0')
    rest = parts.pop() ?? ''
    for (const part of parts) {
      const { id, result, error } = Message.parse(JSON.parse(part))
      const waiter = id === undefined ? undefined : waiting.get(id)
      if (id === undefined || !waiter) continue
      waiting.delete(id)
      if (error) waiter.reject(new Error(error.message))
      else waiter.resolve(result ?? {})
    }
  })
  let last = 0
  const send = (method: string, params: object = {}, sessionId?: string) =>
    new Promise<Record<string, unknown>>((resolve, reject) => {
      last += 1
      const id = last
      const timer = setTimeout(() => {
        waiting.delete(id)
        reject(new Error(`chromium does not answer ${method}`))
      }, 30_000)
      const done =
        <T>(act: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer)
          act(value)
        }
      waiting.set(id, { resolve: done(resolve), reject: done(reject) })
      commands.write(`${JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) })}\0`)
    })
  const close = async () => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
    await gone
    clearTimeout(timer)
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  }

  try {
    const { targetId } = await send('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true })
    const call = (method: string, params: object = {}) => send(method, params, String(sessionId))
    const press: Page['press'] = async ({ keyCode, ctrl, text, ...key }) => {
      const event = { ...key, windowsVirtualKeyCode: keyCode, modifiers: ctrl ? 2 : 0, ...(text && { text }) }
      await call('Input.dispatchKeyEvent', { ...event, type: text ? 'keyDown' : 'rawKeyDown' })
      await call('Input.dispatchKeyEvent', { ...event, type: 'keyUp' })
    }
    return {
      async open(url) {
        const { errorText } = await call('Page.navigate', { url })
        if (errorText) throw new Error(`${url}: ${errorText}`)
      },
      async evaluate(expression) {
        const { result, exceptionDetails } = await call('Runtime.evaluate', { expression, returnByValue: true })
        if (exceptionDetails) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`)
        return z.object({ value: z.unknown().optional() }).parse(result ?? {}).value
      },
      press,
      async type(text) {
        for (const [i, line] of text.split('\n').entries()) {
          if (i > 0) await press(ENTER)
          if (line !== '') await call('Input.insertText', { text: line })
        }
      },
      async screenshot() {
        return Buffer.from(z.string().parse((await call('Page.captureScreenshot')).data), 'base64')
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
