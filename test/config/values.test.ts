import { describe, expect, it } from 'vitest'
import { parsePenalties } from '../../src/config/penalties.ts'
import { parseHostPort } from '../../src/config/rule-values.ts'
import { configSchema } from '../../src/config/schema.ts'
import {
  parseAlias,
  parseChannelTimeout,
  parseCount,
  parseDuration,
  parseListen,
  parseLocalPlace,
  parseMaxStartups,
  parseNetBlockSize,
  parseRekeyLimit,
} from '../../src/config/values.ts'

describe('values', () => {
  it.each([
    ['label:app=web', { kind: 'label', key: 'app', value: 'web' }],
    ['label:a.b/c=x=y', { kind: 'label', key: 'a.b/c', value: 'x=y' }],
    ['label:app', { kind: 'label', key: 'app' }],
    ['label:app=', { kind: 'label', key: 'app', value: '' }],
    ['compose:web.shop', { kind: 'compose', service: 'web.shop' }],
    ['web-1', { kind: 'name', name: 'web-1' }],
    ['compose:web', undefined],
    ['label:', undefined],
    ['image:x', undefined],
    ['', undefined],
  ])('reads the alias %j as %j', (text, expected) => expect(parseAlias(text)).toEqual(expected))

  it.each([
    ['127.0.0.1:9464', { kind: 'tcp', host: '127.0.0.1', port: 9464 }],
    ['none', { kind: 'none' }],
    ['127.8.0.1:0', { kind: 'tcp', host: '127.8.0.1', port: 0 }],
    ['[::1]:9464', { kind: 'tcp', host: '::1', port: 9464 }],
    ['unix:/run/hatchway/metrics.sock', { kind: 'unix', path: '/run/hatchway/metrics.sock' }],
    ['0.0.0.0:9464', undefined],
    ['[::]:9464', undefined],
    ['[::%lo]:9464', undefined],
    ['10.0.0.1:9464', undefined],
    ['127.1:9464', undefined],
    ['localhost:9464', undefined],
    ['127.0.0.1', undefined],
    ['127.0.0.1:65536', undefined],
    ['unix:metrics.sock', undefined],
    ['unix:/', undefined],
    ['unix:/run/', undefined],
    ['unix:/a\0b', undefined],
    ['', undefined],
  ])('reads the place of metrics %j as %j', (text, expected) => expect(parseLocalPlace(text)).toEqual(expected))

  it('says of a place of metrics that others reach what is expected', () => {
    const { error } = configSchema.safeParse({ metrics: { listen: '0.0.0.0:9464' } })
    expect(error?.issues[0]?.message).toMatch(/^expected an address of this machine alone.*got "0.0.0.0:9464"$/)
  })

  it.each([
    ['90', 90_000],
    [90, 90_000],
    ['500ms', 500],
    ['120s', 120_000],
    ['2m', 120_000],
    ['1h30m', 5_400_000],
    ['1W', 604_800_000],
    ['none', 0],
    [0, 0],
    ['25d', undefined],
    ['-1', undefined],
    ['', undefined],
    ['1x', undefined],
    [Number.NaN, undefined],
    [-1, undefined],
  ])('reads the time %j as %j ms', (text, expected) => expect(parseDuration(text)).toBe(expected))

  it.each([
    ['10:30:100', { start: 10, rate: 30, full: 100 }],
    ['5', { start: 5, rate: 100, full: 5 }],
    ['10:101:100', undefined],
    ['10:30:5', undefined],
    ['0:30:5', undefined],
    ['10:30', undefined],
  ])('reads MaxStartups %j', (text, expected) => expect(parseMaxStartups(text)).toEqual(expected))

  it.each([
    ['1G 1h', { bytes: 2 ** 30, milliseconds: 3_600_000 }],
    ['default none', { bytes: 2 ** 30, milliseconds: 0 }],
    ['512K', { bytes: 524_288, milliseconds: 0 }],
    ['1T', undefined],
    ['1G 1h 1', undefined],
    ['', undefined],
  ])('reads RekeyLimit %j', (text, expected) => expect(parseRekeyLimit(text)).toEqual(expected))

  it.each([
    ['127.0.0.1:2222', { host: '127.0.0.1', port: 2222 }],
    ['[::]:22', { host: '::', port: 22 }],
    ['[fe80::1%eth0]:22', { host: 'fe80::1%eth0', port: 22 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['::1:22', undefined],
    ['host', undefined],
    ['host:65536', undefined],
    [':22', undefined],
    ['a b:22', undefined],
  ])('reads the address %j', (text, expected) => expect(parseListen(text)).toEqual(expected))

  it.each([
    ['none', 0],
    [3, 3],
    ['3', 3],
    ['0', undefined],
    ['', undefined],
    ['-1', undefined],
  ])('reads the count %j', (text, expected) => expect(parseCount(text)).toBe(expected))

  it.each([
    ['32:128', { ipv4: 32, ipv6: 128 }],
    ['24', { ipv4: 24, ipv6: 64 }],
    [24, { ipv4: 24, ipv6: 64 }],
    ['0:0', { ipv4: 0, ipv6: 0 }],
    ['33:128', undefined],
    ['32:129', undefined],
    ['32:', undefined],
  ])('reads PerSourceNetBlockSize %j', (text, expected) => expect(parseNetBlockSize(text)).toEqual(expected))

  it.each([
    ['direct-tcpip=10m', { pattern: 'direct-tcpip', milliseconds: 600_000 }],
    ['session:*=none', { pattern: 'session:*', milliseconds: 0 }],
    ['forwarded-streamlocal@openssh.com=5', { pattern: 'forwarded-streamlocal@openssh.com', milliseconds: 5000 }],
    ['session', undefined],
    ['session=', undefined],
    ['=5m', undefined],
    ['session=x', undefined],
  ])('reads ChannelTimeout %j', (text, expected) => expect(parseChannelTimeout(text)).toEqual(expected))

  it('reads PerSourcePenalties: what is not named has its default, IPv6 overflows as IPv4', () => {
    const defaults = parsePenalties('yes')
    expect(defaults).toMatchObject({ enabled: true, min: 15_000, max: 600_000, maxSources6: 65_536 })
    expect(parsePenalties('no')).toEqual({ ...defaults, enabled: false })
    expect(parsePenalties('authfail:1m crash:0 max-sources4:7 overflow:deny-all')).toEqual({
      ...defaults,
      penalties: { ...defaults?.penalties, authfail: 60_000, crash: 0 },
      maxSources4: 7,
      overflow4: 'deny-all',
      overflow6: 'deny-all',
    })
    expect(parsePenalties('overflow6:permissive overflow:deny-all')).toMatchObject({ overflow6: 'permissive' })
  })

  it.each([
    '',
    'off',
    'no authfail:5s',
    'authfail',
    'authfail:x',
    'authfail:5s:1',
    'nosuch:5s',
    'constructor:5s',
    'max-sources4:0',
    'overflow:maybe',
  ])('refuses PerSourcePenalties %j', (text) => expect(parsePenalties(text)).toBeUndefined())
})

it('a client that is away for five minutes keeps its shell; one that is gone has ended after ten', () => {
  const { clientAliveInterval, clientAliveCountMax } = configSchema.parse({}).limits
  expect(clientAliveInterval * clientAliveCountMax).toBeGreaterThanOrEqual(5 * 60_000)
  // Silence begins somewhere within an interval, and the last question gets one, too.
  expect(clientAliveInterval * (clientAliveCountMax + 1)).toBeLessThanOrEqual(10 * 60_000)
})

it.each(['0x7f000001:22', '0x7f.1:22', '127.1:22', '0:22', '0177.1:*'])(
  '%s is refused: a rule names an address in its one spelling',
  (text) => expect(parseHostPort(text)).toBeUndefined(),
)
