import { expect, test } from 'vitest'
import { shortId } from '../../src/engine/ref.ts'

test.each([
  ['0123456789abcdef'.repeat(4), '0123456789ab'],
  [`build1/${'0123456789abcdef'.repeat(4)}`, 'build1/0123456789ab'],
  ['ns/pod-1/app', 'ns/pod-1/app'],
  ['x', 'x'],
])('%s is %s to people', (id, short) => expect(shortId(id)).toBe(short))
