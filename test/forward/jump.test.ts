/** A jump leaves nothing on its connection's signal, which lives on: a client may ask for thousands. */
import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { HatchwayError } from '../../src/base/errors.ts'
import { createJump } from '../../src/forward/jump.ts'
import { annas } from '../support/people-and-places.ts'

const TARGET = { kind: 'tcp', host: 'web', port: 22, originator: { address: '127.0.0.1', port: 1 } } as const

test.each([
  ['is refused', () => Promise.reject(new HatchwayError('CONTAINER_NOT_FOUND', 'no container "web"'))],
  ['is served', () => Promise.resolve()],
])('one that %s', async (_what, demandHost) => {
  const { signal } = new AbortController()
  const jump = createJump({ whose: annas, emit: () => {}, demandHost, serve: () => {} })
  const jumping = jump(TARGET, signal)
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  await jumping
  expect(getEventListeners(signal, 'abort')).toEqual([])
})
