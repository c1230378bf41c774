/** Where /metrics, /healthz and /readyz are served, and what they say if a gateway runs. */
import { request } from 'node:http'
import { at } from '../base/connection-facts.ts'
import { isErrno, messageOf } from '../base/errors.ts'
import { listenAdvice } from '../base/listen-advice.ts'
import { oneLine } from '../base/printable.ts'
import type { Config } from '../config/schema.ts'
import type { LocalPlace } from '../net/local-place.ts'
import type { Finding } from './finding.ts'

/** Longer than /readyz may take. */
const ANSWER_MS = 5_000
const MAX_ANSWER_CHARACTERS = 4_096

export async function examineMetrics({ metrics: { listen } }: Pick<Config, 'metrics'>): Promise<Finding> {
  const check = 'metrics'
  if (listen.kind === 'none') return { check, state: 'ok', found: 'off; metrics.listen turns them on' }
  const place = listen.kind === 'unix' ? `unix:${listen.path}` : at({ address: listen.host, port: listen.port })
  try {
    const health = await ask(listen, '/healthz')
    if (health.body !== 'ok\n') {
      const found = `${place} is another program's: it answers /healthz with ${health.status}`
      const advice =
        listen.kind === 'tcp' ? listenAdvice('EADDRINUSE', listen.port, 'metrics.listen') : 'choose another path'
      return { check, state: 'fail', found, advice }
    }
    const ready = await ask(listen, '/readyz')
    if (ready.status === 200) return { check, state: 'ok', found: `${place}, where a gateway says that it is ready` }
    const found = `${place}, where a gateway says that it is not ready: ${oneLine(ready.body)}`
    return { check, state: 'warn', found, advice: 'put that right: nobody gets in meanwhile' }
  } catch (error) {
    if (isErrno(error, 'ECONNREFUSED', 'ENOENT'))
      return { check, state: 'ok', found: `${place} is free: served once the gateway runs` }
    const found = `${place} cannot be asked: ${messageOf(error)}`
    const advice = isErrno(error, 'EACCES')
      ? 'ask as root, as its user or as its group'
      : `see who listens there: ss -lp`
    return { check, state: 'warn', found, advice }
  }
}

function ask(
  listen: LocalPlace,
  path: string,
): Promise<{ readonly status: number | undefined; readonly body: string }> {
  const where = listen.kind === 'unix' ? { socketPath: listen.path } : { host: listen.host, port: listen.port }
  return new Promise((resolve, reject) => {
    const asked = request({ ...where, path, agent: false, timeout: ANSWER_MS }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
        if (body.length > MAX_ANSWER_CHARACTERS) response.destroy()
      })
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode, body }))
      response.on('close', () => resolve({ status: response.statusCode, body }))
    })
    asked.on('timeout', () => asked.destroy(new Error('no answer')))
    asked.on('error', reject)
    asked.end()
  })
}
