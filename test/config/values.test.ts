import { describe, expect, it } from 'vitest'
import { parseDuration, parseListen, parseMaxStartups, parseRekeyLimit } from '../../src/config/values.ts'

describe('values', () => {
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
})
