/** An engine's own words are held back from a program's output, and nothing else is. */
import { expect, test } from 'vitest'
import { START_FAILURE_TEXTS } from '../../src/engine/messages.ts'
import { createTextGate, type TextGate } from '../../src/engine/text-gate.ts'

function open(repeat: boolean): { gate: TextGate; out: () => string; write: (text: string) => void } {
  let out = ''
  const forward = (chunk: Buffer) => {
    out += chunk.toString()
    return true
  }
  const gate = createTextGate(forward, START_FAILURE_TEXTS, repeat)
  return { gate, out: () => out, write: (text) => void gate.write(Buffer.from(text)) }
}

test.each([false, true])('words that come first are held, whole or in pieces (repeat: %s)', (repeat) => {
  for (const pieces of [
    ['OCI runtime exec failed: x\n'],
    ['OC', 'I runtime exec', ' failed: x\n'],
    ['e', 'xec: no\n'],
  ]) {
    const { gate, out, write } = open(repeat)
    for (const piece of pieces) write(piece)
    expect([out(), gate.held()]).toEqual(['', pieces.join('')])
    gate.release()
    expect(out()).toBe(pieces.join(''))
  }
})

test('what only begins like them passes once it goes on otherwise', () => {
  const { out, write } = open(false)
  write('OCI ')
  write('images\n')
  expect(out()).toBe('OCI images\n')
})

test('on a terminal of a CLI the echo of a key waits for nothing, and late words are held', () => {
  const { gate, out, write } = open(true)
  write('$ ')
  for (const key of 'exec unable failed runc OCI Error: ') write(key)
  expect(out()).toBe('$ exec unable failed runc OCI Error: ')
  write('OCI runtime exec failed: x\n')
  expect(gate.held()).toBe('OCI runtime exec failed: x\n')
  expect(out()).not.toContain('runtime')
  gate.drop()
})
