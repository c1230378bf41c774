import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { hearWords, type Word, wordLine } from '../../src/process/words.ts'

test('words come one by one, however they are cut, and what is none is left out', async () => {
  const line = new PassThrough()
  const heard: Word[] = []
  const over = new Promise<void>((resolve) => hearWords(line, (word) => heard.push(word), resolve))
  const said: Word[] = [
    { pid: 7, state: 'started' },
    { pid: 7, state: 'failed', message: 'a\nb' },
    { pid: 8, state: 'ready', version: '0.2.0' },
  ]
  for (const byte of said.map(wordLine).join('no word\n{"pid":"x"}\n[1]\n{"pid":1,"state":"later"}\n')) line.write(byte)
  line.end()
  await over
  expect(heard).toEqual(said)
})

test('the end is told once nobody can say anything any more', async () => {
  const line = new PassThrough()
  const heard: Word[] = []
  const over = new Promise<void>((resolve) => hearWords(line, (word) => heard.push(word), resolve))
  line.end(`${wordLine({ pid: 7, state: 'stopped' })}{"pid":7,"sta`)
  await over
  expect(heard).toEqual([{ pid: 7, state: 'stopped' }])
})
