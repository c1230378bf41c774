// One exec through the Engine API and nothing else: create, start, wait for the end, ask for the exit code.
import { request } from 'node:http'
import { stopped } from './stop.mjs'

const SOCKET = process.env.DOCKER_HOST?.replace(/^unix:\/\//, '') ?? '/var/run/docker.sock'

export async function apiExec(container, argv, user) {
  const began = performance.now()
  const spec = { Cmd: argv, User: user, AttachStdout: true, AttachStderr: true }
  const { Id } = JSON.parse(await call('POST', `/containers/${container}/exec`, spec))
  await call('POST', `/exec/${Id}/start`, { Detach: false, Tty: false })
  const { ExitCode } = JSON.parse(await call('GET', `/exec/${Id}/json`))
  if (ExitCode !== 0) throw new Error(`the exec ended with ${ExitCode}`)
  return performance.now() - began
}

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/json' }
    const asked = request({ socketPath: SOCKET, method, path, headers, signal: stopped, timeout: 60_000 }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (part) => {
        text += part
      })
      answer.once('error', reject)
      answer.once('end', () =>
        answer.statusCode < 300 ? resolve(text) : reject(new Error(`${path}: ${answer.statusCode} ${text}`)),
      )
    })
    asked.once('error', reject)
    asked.once('timeout', () => asked.destroy(new Error(`${path}: no answer`)))
    asked.end(body && JSON.stringify(body))
  })
}
