/** An engine whose one container is this machine, and whose exec carries only what it says: for faults of engines. */
import { spawn } from 'node:child_process'
import { HatchwayError } from '../../src/base/errors.ts'
import type { Container, Engine, ExecCarries, ExecSpec } from '../../src/engine/engine.ts'

export interface LocalEngine extends Engine {
  /** What its exec was asked for, in order. */
  readonly asked: ExecSpec[]
}

export function localEngine(carries?: ExecCarries): LocalEngine {
  const asked: ExecSpec[] = []
  const none = (): never => {
    throw new HatchwayError('NOT_SUPPORTED', 'not of this engine')
  }
  return {
    asked,
    kind: 'local',
    endpoint: 'here',
    ...(carries && { carries }),
    info: async () => ({ product: 'local', version: '1', arch: process.arch, local: false }),
    list: async () => [],
    inspect: async (): Promise<Container> => none(),
    async exec(_id, spec, sink) {
      asked.push(spec)
      if (carries?.env === false && spec.env.length > 0) none()
      if (carries?.cwd === false && spec.cwd !== '') none()
      if (carries?.user === 'none' && spec.user !== '') none()
      const [program, ...args] = spec.argv
      const env = Object.fromEntries(spec.env.map((entry) => [entry.replace(/=.*/s, ''), entry.replace(/^[^=]*=/, '')]))
      const child = spawn(program, args, { cwd: spec.cwd || '/', env, stdio: 'pipe' })
      child.stdout.on('data', (chunk: Buffer) => sink.write(1, chunk))
      child.stderr.on('data', (chunk: Buffer) => sink.write(2, chunk))
      child.stdin.on('error', () => {})
      return {
        stdin: child.stdin,
        exit: new Promise((resolve) => child.once('close', (code) => resolve({ code: code ?? 255 }))),
        resume() {},
        resize() {},
        signal: () => false,
        close: () => void child.kill('SIGKILL'),
      }
    },
    async *events() {},
    close: async () => {},
  }
}
