/** What a replay shows, when, and what it keeps from the terminal of who watches. */
import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { createPlayer } from '../../../src/cli/replay-player.ts'
import { castV2 } from '../../../src/evidence/recording/cast-export.ts'
import type { Cast, CastEvent } from '../../../src/evidence/recording/read-stream.ts'
import { createTerminalFilter } from '../../../src/evidence/recording/terminal-filter.ts'
import { all } from './world.ts'

function cast(events: CastEvent[], type: 'xterm' | 'no terminal' = 'xterm'): Cast {
  async function* each() {
    yield* events
  }
  const term = { cols: 80, rows: 24, ...(type === 'xterm' && { type }) }
  return { header: { version: 3, term, timestamp: 1 }, events: each() }
}

describe('the filter', () => {
  test.each([
    [
      'what draws',
      'a\x1b[1;31mred\x1b[0m\x1b[2J\x1b[10;5H\x1b(0q\x1b7\r\n',
      'a\x1b[1;31mred\x1b[0m\x1b[2J\x1b[10;5H\x1b(0q\x1b7\r\n',
    ],
    ['second screen and mouse', '\x1b[?1049h\x1b[?25l', '\x1b[?1049h\x1b[?25l'],
    ['a title', 'a\x1b]0;title\x07b', 'ab'],
    ['the clipboard', 'a\x1b]52;c;cm0gLXJm\x1b\\b', 'ab'],
    ['a string that never ends', 'a\x1bPwhatever', 'a'],
    ['who are you', 'a\x1b[c\x1b[>c\x1b[0c\x1bZ\x05b', 'ab'],
    ['where is the cursor', 'a\x1b[6n\x1b[?6nb', 'ab'],
    ['window reports', 'a\x1b[21tb', 'ab'],
    ['versions and modes', 'a\x1b[>0q\x1b[?2026$p\x1b[?ub', 'ab'],
    ['eight-bit controls', 'a\x9b6n\x9d52;c;x\x9cb', 'ab'],
    ['an answerback within a sequence', 'a\x1b\x05[m\x1b[\x05mb', 'a[m\x1b[mb'],
    [
      'a control of eight bits within a sequence',
      'a\x1b\x9b6n\x1b[\x9b6n\x1b[3\x9d52;c;x\x9c\x1b\x9d52;c;x\x07b',
      'ab',
    ],
    ['what a terminal leaves out of a sequence', 'a\x1b[6\x7fn\x1b[0\x7fcb', 'ab'],
    ['characters of one byte', 'a\x1b%@\u06db6nb', 'a@\u06db6nb'],
    ['parameters, checksums, tabs, colours', 'a\x1b[0x\x1b[1;1;1;1;9;9*y\x1b[2$w\x1b[1#R\x1b[?1;1;0S\x1b[?4mb', 'ab'],
    ['the printer and the keyboard', 'a\x1b[5i\x1b[?5i\x1b[2h\x1b[>1u\x1b[>4;2mb', 'ab'],
    ['the mouse and the focus among modes', 'a\x1b[?1003;25;1004;2004hb', 'a\x1b[?25hb'],
    ['one within the other', 'a\x1b]0;\x1b[31mred', 'a\x1b[31mred'],
  ])('of %s', (_, text, shown) => {
    expect(createTerminalFilter()(text)).toBe(shown)
    const filter = createTerminalFilter()
    expect([...text].map((one) => filter(one)).join('')).toBe(shown)
  })
})

function played(events: CastEvent[], options: object = {}, type: 'xterm' | 'no terminal' = 'xterm') {
  let shown = ''
  const output = new Writable({
    decodeStrings: false,
    write(text, _, done) {
      shown += text
      done()
    },
  })
  const player = createPlayer({
    open: async () => cast(events, type),
    ...{ output, speed: 1, idleLimit: Number.POSITIVE_INFINITY, from: 0, inTime: true },
    ...options,
  })
  return { player, shown: () => shown }
}

const DAY_S = 86_400

test('where there is no terminal all comes at once, stderr of a command too', async () => {
  const events = [
    { at: 1, code: 'o', data: 'out\n' },
    { at: DAY_S, code: 'e', data: 'err\n' },
    { at: DAY_S, code: 'b', data: 'AAAA' },
    { at: DAY_S, code: 'x', data: '0' },
  ]
  const { player, shown } = played(events, { inTime: false }, 'no terminal')
  await player.play()
  expect(shown()).toBe('out\nerr\n')
})

test('speed, silences that are cut and a later beginning make it shorter', async () => {
  const events = [
    { at: 10, code: 'o', data: 'one' },
    { at: DAY_S, code: 'o', data: 'two' },
  ]
  const began = performance.now()
  for (const options of [{ speed: 1e7 }, { idleLimit: 0.05 }, { from: DAY_S }]) {
    const { player, shown } = played(events, options)
    await player.play()
    expect(shown()).toContain('onetwo')
  }
  expect(performance.now() - began).toBeLessThan(5_000)
})

test('keys pause, go forwards and back, and end it', async () => {
  const events = [
    { at: 4, code: 'o', data: 'one' },
    { at: 8, code: 'o', data: 'two' },
    { at: DAY_S, code: 'o', data: 'never' },
  ]
  const { player, shown } = played(events)
  const over = player.play()
  player.key(' ')
  await expect.poll(shown).toBe('\x1bc')
  player.key('\x1b[C')
  await expect.poll(shown).toBe('\x1bcone')
  player.key('l')
  await expect.poll(shown).toBe('\x1bconetwo')
  player.key('\x1b[D')
  // From the beginning, up to there.
  await expect.poll(shown).toBe('\x1bconetwo\x1bcone')
  player.key('q')
  await over
  expect(shown()).not.toContain('never')
})

test('asciicast v2 has absolute times and what its players know, with lines that begin at the left', async () => {
  const events = [
    { at: 0.5, code: 'o', data: 'a\nb' },
    { at: 1, code: 'e', data: 'c' },
    { at: 1, code: 'b', data: 'Yw==' },
    { at: 2, code: 'r', data: '10x10' },
    { at: 3, code: 'x', data: '0' },
  ]
  const lines = (await all(castV2(cast(events, 'no terminal')))).map((line) => JSON.parse(line))
  expect(lines).toEqual([
    { version: 2, width: 80, height: 24, timestamp: 1 },
    [0.5, 'o', 'a\r\nb'],
    [1, 'o', 'c'],
    [2, 'r', '10x10'],
  ])
})
