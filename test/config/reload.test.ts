import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { changedKeys, needRestart, whyNotLive } from '../../src/config/reload.ts'

const config = (values: Record<string, unknown>) => {
  const flags = Object.entries(values).map(([key, value]) => ({ flag: key, key: [key], value }))
  return loadConfig({ file: '/dev/null', env: {}, flags }).config
}

describe('a configuration that is read again', () => {
  test('what changed, and what of it needs a restart', () => {
    const before = config({ rules: [], listen: ['127.0.0.1:1'] })
    const after = config({ rules: [{}], listen: ['127.0.0.1:2'], endWithdrawn: true })
    expect(changedKeys(before, after).sort()).toEqual(['endWithdrawn', 'listen', 'rules'])
    expect(needRestart(changedKeys(before, after))).toEqual(['listen'])
    expect(changedKeys(before, before)).toEqual([])
  })

  test.each([
    ['rules', { rules: [] }],
    ['authorization', { authorization: { webhook: 'http://127.0.0.1:9' } }],
    ['authenticationMethods', { authenticationMethods: ['publickey,keyboard-interactive'] }],
    ['authorizedKeys', { authorizedKeys: ['/etc/keys'] }],
    ['revokedKeys', { revokedKeys: ['/etc/krl'] }],
  ])('%s that are gone are not believed', (key, values) => {
    expect(whyNotLive(config(values), config({}))).toContain(`${key}: gone`)
    expect(whyNotLive(config({}), config(values))).toBeUndefined()
    expect(whyNotLive(config(values), config(values))).toBeUndefined()
  })
})
