/** The admin page's server, as a hostile program or page of this machine meets it; who may sign in, and for how long. */
import { request } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { adminCalls } from '../../src/admin/admin.ts'
import { openAdminServer } from '../../src/admin/server.ts'
import { createAdminTokens } from '../../src/admin/tokens.ts'
import type { AdminEvent } from '../../src/session/admin-event.ts'

const HOUR_MS = 3_600_000
const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

async function open() {
  const events: AdminEvent[] = []
  const killed: unknown[] = []
  const clock = { now: Date.now() }
  const tokens = createAdminTokens(HOUR_MS, () => clock.now)
  const kill = (...all: unknown[]) => killed.push(all) > 0
  const none = { list: () => [] }
  const gateway = { registry: none, connections: none, kill, emit: (event: AdminEvent) => events.push(event) }
  const assets = new Map([['/', { type: 'text/html', body: Buffer.from('<title>page</title>') }]])
  const any = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const
  const failures: unknown[] = []
  const server = await openAdminServer(any, assets, adminCalls(tokens, gateway), (error) => failures.push(error))
  closers.push(() => server.close())
  const { place } = server

  function ask(path: string, body: unknown, change: Record<string, string | undefined> = {}, method = 'POST') {
    const all = { host: place, origin: `http://${place}`, 'content-type': 'application/json', ...change }
    const headers = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
    return new Promise<{ status: number; headers: Record<string, unknown>; text: string }>((resolve, reject) => {
      const asked = request(`http://${place}${path}`, { method, headers, agent: false }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
      })
      asked.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body))
    })
  }
  const signIn = async () => {
    const { text } = await ask('/api/sign-in', { token: tokens.issue('alice').secret })
    return `Bearer ${JSON.parse(text).key}`
  }
  return { ask, tokens, events, killed, clock, failures, place, signIn }
}

test('a token signs in once, and the key that it becomes ends by itself and by signing out', async () => {
  const { ask, tokens, clock, events } = await open()
  const { secret } = tokens.issue('alice')
  const first = await ask('/api/sign-in', { token: secret })
  expect([first.status, JSON.parse(first.text).name]).toEqual([200, 'alice'])
  expect((await ask('/api/sign-in', { token: secret })).status).toBe(401)
  const authorization = `Bearer ${JSON.parse(first.text).key}`
  expect((await ask('/api/live', {}, { authorization })).status).toBe(200)
  expect((await ask('/api/live', {}, { authorization: `Bearer ${secret}` })).status).toBe(401)
  clock.now += HOUR_MS
  expect((await ask('/api/live', {}, { authorization })).status).toBe(401)
  expect(events.map(({ act, refused }) => [act, refused])).toEqual([
    ['sign-in', undefined],
    ['sign-in', true],
  ])
})

test('a token that was told too long ago is none', async () => {
  const { ask, tokens, clock } = await open()
  const { secret } = tokens.issue('alice')
  clock.now += 5 * 60_000
  expect((await ask('/api/sign-in', { token: secret })).status).toBe(401)
})

test('signing out ends the key', async () => {
  const { ask, signIn } = await open()
  const authorization = await signIn()
  expect((await ask('/api/sign-out', {}, { authorization })).status).toBe(200)
  expect((await ask('/api/live', {}, { authorization })).status).toBe(401)
})

test('nothing is listed and nobody is ended without a key', async () => {
  const { ask, killed } = await open()
  for (const path of ['/api/live', '/api/kill'])
    expect((await ask(path, { what: 'session', id: 'a1' })).status).toBe(401)
  expect(killed).toEqual([])
})

test('who ends a session is named; what is no session or connection ends nothing', async () => {
  const { ask, killed, signIn } = await open()
  const authorization = await signIn()
  expect((await ask('/api/kill', { what: 'session', id: 'a1' }, { authorization })).text).toBe('{"killed":true}')
  for (const wrong of [{ what: 'gateway', id: 'a1' }, { what: 'session', id: { a: 1 } }, {}])
    expect((await ask('/api/kill', wrong, { authorization })).text).toBe('{"killed":false}')
  expect(killed).toEqual([['session', 'a1', 'alice']])
})

test.each([
  ['another name of this address', { host: 'evil.example' }, 421],
  ['another origin', { origin: 'http://evil.example' }, 403],
  ['a frame without an origin', { origin: 'null' }, 403],
  ['no origin', { origin: undefined }, 403],
  ['a form', { 'content-type': 'text/plain' }, 400],
])('with a good key, %s is refused', async (_, change, status) => {
  const { ask, signIn, killed } = await open()
  const authorization = await signIn()
  const heard = await ask('/api/kill', { what: 'session', id: 'a1' }, { authorization, ...change })
  expect([heard.status, killed]).toEqual([status, []])
})

test('a call is no GET, and a body has a bound', async () => {
  const { ask, signIn } = await open()
  const authorization = await signIn()
  expect((await ask('/api/live', undefined, { authorization }, 'GET')).status).toBe(405)
  expect((await ask('/api/live', { long: 'x'.repeat(5000) }, { authorization })).status).toBe(400)
  expect((await ask('/nothing', {}, { authorization })).status).toBe(404)
})

test('every answer forbids scripts of others and frames, and sets no cookie', async () => {
  const { ask } = await open()
  for (const heard of [await ask('/', undefined, {}, 'GET'), await ask('/api/live', {})]) {
    expect(heard.headers['content-security-policy']).toContain("default-src 'none'; script-src 'self';")
    expect(heard.headers['content-security-policy']).toContain("frame-ancestors 'none'")
    expect(heard.headers['content-security-policy']).not.toContain('unsafe')
    expect(heard.headers['set-cookie']).toBeUndefined()
  }
})

test('after ten wrong tokens a right one waits as well', async () => {
  const { ask, tokens, events } = await open()
  for (let i = 0; i < 10; i += 1) expect((await ask('/api/sign-in', { token: `wrong${i}` })).status).toBe(401)
  expect((await ask('/api/sign-in', { token: tokens.issue('alice').secret })).status).toBe(429)
  expect(events.length).toBe(10)
})

test('of many tokens the oldest makes room', () => {
  const tokens = createAdminTokens(HOUR_MS)
  const all = Array.from({ length: 17 }, () => tokens.issue('alice').secret)
  expect(tokens.exchange(all[0] ?? '')).toBeUndefined()
  expect(tokens.exchange(all[1] ?? '')?.name).toBe('alice')
})
