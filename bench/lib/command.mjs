// Programs, run to their end with a limit.
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { stopped } from './stop.mjs'

const LIMIT = 120_000
/** The machine's own agent and locale decide nothing. */
const CLEAN = { ...process.env, SSH_AUTH_SOCK: '', LC_ALL: 'C.UTF-8', DOCKER_CLI_HINTS: 'false' }

/**
 * Milliseconds from before the fork until the program ended. Its output goes nowhere: reading it here would cost more
 * than sending it. `stdin`: a file's path, or text.
 */
export async function timed(argv, options = {}) {
  return (await start(argv, { stdout: 'ignore', ...options })).ms
}

/** What the program wrote. */
export async function output(argv, options = {}) {
  return (await start(argv, { stdout: 'pipe', ...options })).stdout.trim()
}

/** Like output(), but whether it worked does not matter. */
export async function attempt(argv) {
  // Also while stopping: this is what cleans up.
  return start(argv, { stdout: 'pipe', limit: 60_000, signal: new AbortController().signal }).catch(() => undefined)
}

async function start(argv, { stdin, input, stdout, limit = LIMIT, signal = stopped }) {
  signal.throwIfAborted()
  const file = stdin === undefined ? undefined : openSync(stdin, 'r')
  try {
    const began = performance.now()
    const child = spawn(argv[0], argv.slice(1), {
      stdio: [file ?? (input === undefined ? 'ignore' : 'pipe'), stdout, 'pipe'],
      env: CLEAN,
    })
    return await finish(argv, child, began, input, limit, signal)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

function finish(argv, child, began, input, limit, signal) {
  return new Promise((resolve, reject) => {
    let [stdout, stderr, ms, why] = ['', '', 0, undefined]
    const kill = (reason) => {
      why = reason
      child.kill('SIGKILL')
    }
    const timer = setTimeout(kill, limit, `not within ${limit} ms`)
    const aborted = () => kill(signal.reason.message)
    signal.addEventListener('abort', aborted, { once: true })
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      if (stderr.length < 4000) stderr += text
    })
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
    const over = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', aborted)
    }
    child.once('error', (error) => {
      over()
      reject(error)
    })
    child.once('exit', () => {
      ms = performance.now() - began
    })
    child.once('close', (code, killer) => {
      over()
      if (code === 0) return resolve({ ms, stdout })
      const said = stderr.trim().split('\n').at(-1)
      reject(new Error(`${why ?? said ?? ''} (${argv[0]} ended with ${code ?? killer})`))
    })
  })
}

/** A program that stays: answers the child; it is the caller's to end. Its stderr is kept in `child.said`. */
export function background(argv, stdio = ['ignore', 'ignore', 'pipe']) {
  stopped.throwIfAborted()
  const child = spawn(argv[0], argv.slice(1), { stdio, env: CLEAN })
  child.said = ''
  child.over = false
  child.once('exit', () => {
    child.over = true
  })
  child.once('error', (error) => {
    child.over = true
    child.said = error.message
  })
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    if (child.said.length < 4000) child.said += text
  })
  return child
}

/** SIGTERM, then SIGKILL. */
export async function end(child, patience = 10_000) {
  if (child.over || child.pid === undefined) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), patience)
  await gone
  clearTimeout(timer)
}

/** Until `ask` answers something; whatever it throws is told when the limit is over. */
export async function until(what, ask, limit = 30_000) {
  const last = Date.now() + limit
  for (let error; ; ) {
    stopped.throwIfAborted()
    try {
      const answer = await ask()
      if (answer) return answer
    } catch (thrown) {
      error = thrown
      if (thrown.final) throw thrown
    }
    if (Date.now() > last) throw new Error(`${what}: not within ${limit} ms${error ? `: ${error.message}` : ''}`)
    await delay(50)
  }
}
