/** What the login finds is kept: nothing else of an idle connection says which container it is into. */
import pino from 'pino'
import { expect, test } from 'vitest'
import { HatchwayError } from '../../src/base/errors.ts'
import type { Container } from '../../src/engine/engine.ts'
import { createAdmit } from '../../src/session/admit.ts'
import { anna, web } from '../support/people-and-places.ts'

const log = pino({ level: 'silent' })
const address = { address: '::1', port: 1 }

function admitted(check: () => Promise<Container | undefined>) {
  const { signal } = new AbortController()
  const led: [isConnection: boolean, name: string][] = []
  const destinations = { routeFor: () => ({ container: 'web', bare: false }), check }
  const admit = createAdmit(destinations, (closed, { name }) => void led.push([closed === signal, name]), log)
  const context = { connectionId: '1', user: 'dev', host: 'web', remote: address, local: address, signal }
  return admit(anna, context).then((answer) => ({ ...answer, led }))
}

test('a container that was found is told with the signal of the connection', async () => {
  expect(await admitted(async () => web)).toMatchObject({ led: [[true, 'web']] })
  expect(await admitted(async () => undefined)).toEqual({ led: [] })
})

test('what is not found is refused and leads nowhere', async () => {
  const lost = () => Promise.reject(new HatchwayError('CONTAINER_NOT_FOUND', 'no container "web"'))
  expect(await admitted(lost)).toEqual({ refusal: 'hatchway: no container "web"', led: [] })
})
