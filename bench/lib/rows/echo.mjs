// A key pressed until its echo is on the screen: client with a terminal, server, terminal inside, program, and back.
import { setTimeout as delay } from 'node:timers/promises'
import { spawn } from 'node-pty'
import { withCpu } from '../cpu.mjs'
import { stopped } from '../stop.mjs'

const KEYS = 50
/** Between two keys: everything is idle again, as with a person. */
const PAUSE = 4
const SETTLE = 2500
/** A gateway lives for weeks: its code is compiled, as sshd's always is. */
const WARM = 300
const LIMIT = 15_000
// The program echoes, not the terminal inside: the whole way is measured.
const COMMAND = 'stty raw -echo; printf READY; exec cat'

const goals = ['docker', 'guest', 'cli'].map((target) => ({ target, against: 'sshd', most: 1.2, from: 'design' }))

export const echoRow = {
  key: 'echo',
  targets: ['exec', 'sshd', 'docker', 'guest', 'stream', 'cli'],
  figures: [
    { key: 'ms', id: 'p50', title: 'keystroke echo, p50', unit: 'ms', percentile: 50, goals },
    { key: 'ms', id: 'p99', title: 'keystroke echo, p99', unit: 'ms', percentile: 99, goals },
    { key: 'server', title: '  CPU of the server process, a key', unit: 'ms', mean: true, goals: [] },
    { key: 'all', title: '  CPU of all on the server side, a key', unit: 'ms', mean: true, goals: [] },
  ],
  async prepare(target) {
    const terminal = openTerminal(target.terminalArgv(COMMAND))
    try {
      await terminal.expect('READY')
      for (let i = 0; i < 20; i++) await terminal.echo()
      // A helper goes over to its direct path after a second.
      await delay(SETTLE)
      for (let i = 0; i < WARM; i++) await terminal.echo()
    } catch (error) {
      terminal.close()
      throw error
    }
    return {
      async sample() {
        const ms = []
        const { server, all } = await withCpu(target, async () => {
          for (let i = 0; i < KEYS; i++) {
            ms.push(await terminal.echo())
            await delay(PAUSE)
          }
        })
        return { ms, ...(server !== undefined && { server: (server * 1000) / KEYS }), all: (all * 1000) / KEYS }
      },
      note: target.dataPath,
      close: terminal.close,
    }
  },
}

function openTerminal(argv) {
  const pty = spawn(argv[0], argv.slice(1), { cols: 80, rows: 24, encoding: null })
  let shown = ''
  let wake = () => {}
  let over = false
  pty.onData((data) => {
    shown += data.toString('latin1')
    wake()
  })
  pty.onExit(() => {
    over = true
    wake()
  })

  async function expect(text) {
    const last = Date.now() + LIMIT
    while (!shown.includes(text)) {
      stopped.throwIfAborted()
      if (over) throw new Error(`the terminal ended: ${shown.trim().slice(-200)}`)
      if (Date.now() > last) throw new Error(`no ${text} within ${LIMIT} ms: ${shown.trim().slice(-200)}`)
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 1000)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  return {
    expect,
    async echo() {
      shown = ''
      const began = performance.now()
      pty.write('x')
      await expect('x')
      return performance.now() - began
    },
    close: () => {
      if (!over) pty.kill('SIGKILL')
    },
  }
}
