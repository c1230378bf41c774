/** A question to a webhook: one POST, over http(s) or a unix socket. Redirects are not followed. */
import { readFileSync } from 'node:fs'
import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { HatchwayError } from '../base/errors.ts'
import type { Webhook } from '../config/authorization.ts'
import type { Ask } from './external.ts'

/** A thousand rules fit. */
export const MAX_ANSWER_BYTES = 512 * 1024

/** @throws HatchwayError CONFIG_INVALID: the authorities cannot be read */
export function webhookAsker(
  { url, socketPath }: Webhook,
  headers: Readonly<Record<string, string>>,
  ca: string | undefined,
): Ask {
  const secure = url.startsWith('https:')
  const options = { keepAlive: true, ...(ca !== undefined && { ca: readAuthorities(ca) }) }
  const agent = secure ? new HttpsAgent(options) : new HttpAgent(options)
  const request = secure ? httpsRequest : httpRequest
  return (question, signal) =>
    new Promise((resolve, reject) => {
      const sent = { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(question) }
      const outgoing = request(url, { method: 'POST', agent, signal, socketPath, headers: sent }, (response) => {
        const chunks: Buffer[] = []
        let size = 0
        response.on('error', reject)
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > MAX_ANSWER_BYTES) outgoing.destroy(new Error(`an answer of more than ${MAX_ANSWER_BYTES} bytes`))
          else chunks.push(chunk)
        })
        response.on('aborted', () => reject(new Error('the answer was cut short')))
        response.on('end', () => {
          if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString())
          else reject(new Error(`it answered ${response.statusCode}`))
        })
      })
      outgoing.on('error', reject)
      outgoing.end(question)
    })
}

function readAuthorities(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new HatchwayError('CONFIG_INVALID', `cannot read ${file}`, { cause: error })
  }
}
