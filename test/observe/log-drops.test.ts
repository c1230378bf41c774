import { expect, test } from 'vitest'
import { createDropLines } from '../../src/observe/log-drops.ts'

test('of each reason one line a minute has its level, and tells of the others', () => {
  let now = 0
  const line = createDropLines(() => now)
  const drop = (reason: 'max-startups' | 'penalty') =>
    line({ type: 'drop', remote: { address: '192.0.2.7', port: 5 }, reason })
  expect(drop('max-startups')).toMatchObject({ level: 'warn', remote: '192.0.2.7:5', reason: 'max-startups' })
  expect(drop('penalty')).toMatchObject({ level: 'info' })
  for (let i = 0; i < 1000; i++) expect(drop('max-startups')).toMatchObject({ level: 'debug' })
  now = 60_000
  expect(drop('max-startups')).toMatchObject({ level: 'warn', unsaid: 1000 })
  expect(drop('max-startups')).toMatchObject({ level: 'debug' })
  expect(drop('penalty')).not.toHaveProperty('unsaid')
})
