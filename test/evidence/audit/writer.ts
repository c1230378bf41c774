/** Writes a trail until it is killed: the folder is its argument. */
import { join } from 'node:path'
import { pino } from 'pino'
import { openSigningKey } from '../../../src/evidence/audit/signing-key.ts'
import { openTrail } from '../../../src/evidence/audit/trail.ts'

const [, , folder = ''] = process.argv
const key = await openSigningKey(join(folder, 'keys'))
const trail = await openTrail(
  { file: join(folder, 'audit.jsonl'), rotateSize: 100_000, rotateEvery: 0, headEvery: 10, fsync: 'never' },
  { key, log: pino({ enabled: false }), anchor: () => {} },
)
process.stdout.write('writing\n')
for (let number = 0; ; number++) {
  for (let count = 0; count < 100; count++)
    trail.add({
      at: '',
      action: 'test',
      outcome: 'ok',
      number: number * 100 + count,
      padding: 'x'.repeat(number % 500),
    })
  await trail.settled()
}
