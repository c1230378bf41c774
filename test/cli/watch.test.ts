import { expect, test } from 'vitest'
import { watch } from '../../src/cli/watch.ts'
import { CliFailure } from '../../src/control/cli-failure.ts'

/** So many rounds, and then its user ends it. */
function rounds(count: number): () => Promise<void> {
  let done = 0
  return async () => {
    if (++done === count) throw new Error('Ctrl-C')
  }
}

test('a terminal has each round written over the one before, cut to its rows; a file has one behind the other', async () => {
  const written = { screen: '', file: '' }
  const text = async () => 'a\nb\nc\nd\n'
  const screen = { isTTY: true, rows: 4, write: (more: string) => (written.screen += more) }
  await expect(watch(text, screen, rounds(2))).rejects.toThrow('Ctrl-C')
  const page = '\u001b[Ha\u001b[K\nb\u001b[K\n... 2 more\u001b[K\n\u001b[J'
  expect(written.screen).toBe(`\u001b[H\u001b[J${page}${page}`)
  await expect(watch(text, { write: (more: string) => (written.file += more) }, rounds(2))).rejects.toThrow('Ctrl-C')
  expect(written.file).toBe('a\nb\nc\nd\na\nb\nc\nd\n')
})

test('a gateway that is away after the first round is said, and waited for', async () => {
  const answers = ['there\n', new CliFailure('no gateway'), 'there again\n']
  let written = ''
  const text = async () => {
    const next = answers.shift() ?? ''
    if (typeof next === 'string') return next
    throw next
  }
  await expect(watch(text, { write: (more: string) => (written += more) }, rounds(3))).rejects.toThrow('Ctrl-C')
  expect(written).toBe('there\nhatchway: no gateway\nthere again\n')
  const never = () => Promise.reject(new CliFailure('no gateway'))
  await expect(watch(never, { write: () => {} }, rounds(1))).rejects.toThrow('no gateway')
})
