/** The numbers of the guest protocol stand in three places, for the gateway, the helper and the reader: they are the same. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import * as gateway from '../../src/guest/frames.ts'

const top = join(import.meta.dirname, '../..')
const helper = enumsOf(readFileSync(join(top, 'guest/wire.h'), 'utf8'))

/** Every name of every `enum { ... }` with its number; a name without one counts on, as in C. */
function enumsOf(header: string): ReadonlyMap<string, number> {
  const all = new Map<string, number>()
  for (const [, body = ''] of header.replaceAll(/\/\*.*?\*\//gs, '').matchAll(/enum \{(.*?)\}/gs)) {
    let next = 0
    for (const [, name = '', value] of body.matchAll(/(\w+)\s*(?:=\s*([^,]+))?(?:,|\s*$)/g)) {
      next = value === undefined ? next : numberOf(value.trim())
      all.set(name, next++)
    }
  }
  return all
}

/** "65536", "256 << 10", "1u << 31" */
function numberOf(text: string): number {
  const match = /^(\d+)u?(?: << (\d+))?$/.exec(text)
  if (!match) throw new Error(`a number that this test cannot read: ${text}`)
  return Number(match[1]) * 2 ** Number(match[2] ?? 0)
}

function helpers(prefix: string): Record<string, number> {
  const found = [...helper].filter(([name]) => name.startsWith(prefix))
  expect(found.length).toBeGreaterThan(1)
  return Object.fromEntries(found.map(([name, value]) => [name.slice(prefix.length), value]))
}

test.each([
  ['F_', gateway.FRAME_TYPE],
  ['FEATURE_', gateway.FEATURE],
  ['SPAWN_', gateway.SPAWN_FLAG],
  ['SFTP_', gateway.SFTP_FLAG],
  ['LISTEN_', gateway.LISTEN_FLAG],
  ['KIND_', gateway.ADDRESS_KIND],
  ['CLOSE_', gateway.CLOSE_MODE],
])('%s', (prefix, table) => {
  expect(helpers(prefix)).toEqual(table)
})

test('stages', () => {
  const table = Object.fromEntries(gateway.STAGES.map((name, number) => [name.toUpperCase(), number]))
  expect(helpers('STAGE_')).toEqual(table)
})

test.each([
  ['VERSION', gateway.PROTOCOL_VERSION],
  ['FRAME_HEADER', gateway.HEADER],
  ['FRAME_MAX', gateway.MAX_PAYLOAD],
  ['REQUEST_MAX', gateway.MAX_REQUEST_BYTES],
  ['CHANNELS_MAX', gateway.MAX_CHANNELS],
  ['WINDOW_SIZE', gateway.START_CREDIT],
  ['HELPER_ID', gateway.HELPERS_ID],
])('%s', (name, value) => {
  expect(helper.get(name)).toBe(value)
})

test("the document's table of frames", () => {
  const text = readFileSync(join(top, 'docs/guest-protocol.md'), 'utf8')
  const rows = [...text.matchAll(/^\| (\d+) \| (\w+) \|/gm)].map(([, number, name = '']) => [name, Number(number)])
  expect(Object.fromEntries(rows)).toEqual(gateway.FRAME_TYPE)
})
