import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { assertNotTooLate, assertVersion, type Loader } from '../../../src/ssh/kex/guard.ts'

const load = createRequire(import.meta.url)

describe('the guards of the layer over ssh2', () => {
  test('take the version that is installed', () => {
    expect(() => assertVersion(load)).not.toThrow()
  })

  test('refuse any other version with a sentence', () => {
    const other: Loader = Object.assign(() => ({ version: '1.17.1' }), { resolve: (id: string) => id, cache: {} })
    expect(() => assertVersion(other)).toThrow(
      'this is written for ssh2 1.17.0 exactly, but 1.17.1 is installed: run npm ci',
    )
  })

  test.each(['ssh2/lib/protocol/Protocol.js', 'ssh2/lib/protocol/handlers.js'])(
    'refuse with a sentence when %s is loaded already',
    (file) => {
      const late: Loader = Object.assign(() => ({}), { resolve: (id: string) => id, cache: { [file]: {} } })
      expect(() => assertNotTooLate(late)).toThrow(
        `${file} was loaded before post-quantum key exchange was installed: import src/ssh/ssh2.ts first`,
      )
    },
  )

  // The real thing, in a process where ssh2 came first.
  test('refuse in a process that has loaded ssh2', () => {
    load('ssh2')
    expect(() => assertNotTooLate(load)).toThrow(/was loaded before/)
  })
})

/**
 * Every file of ssh2 the layer stands on, as published in 1.17.0. A difference means that the installed package is not
 * that one (a new version, a patch): read the change, check it against src/ssh, and only then write the new sum here.
 */
const FILES = {
  'lib/protocol/Protocol.js': 'c1104b49087de7a91cd3ffaac8807c05eebf49f61effd084d0b0caf29fde6af4',
  'lib/protocol/constants.js': 'a3894fdd8e294109b55f06fbda69e467741f15a250801b744b6b0487bbf32529',
  'lib/protocol/crypto.js': 'a729d2064e787e2a4589c25a284444fe54a58b7434a4e6e5e8e9c73c6d91e28e',
  'lib/protocol/handlers.js': 'b15f990134a4f69b7492d0b875d80d8c28228907045619b01ec30871ac711df9',
  'lib/protocol/handlers.misc.js': '8927c504c3c338187f36f0304a3452d6396ec9fc907af3db2be46a5f175c36a1',
  'lib/protocol/kex.js': '054ba4b81801596350f0e2e939746d2966297cffd4303b342c25b2fd5d295755',
  'lib/protocol/keyParser.js': 'ba4f40a5a9edef15ff49a38226e2be2e66f75aa2673840dd18b807bb7943eca9',
  'lib/protocol/utils.js': '402b39e75ede9e3dc99af5e8af008602546f35aa1472bd4232c06f606987f053',
  'lib/protocol/zlib.js': '8cd9f4c1825cbc394ddf9cf076a5ba9195ec255db9e904182ae9c25a1036e2d6',
} as const

test.each(Object.entries(FILES))('ssh2/%s is the file the layer was written for', (file, sum) => {
  expect(
    createHash('sha256')
      .update(readFileSync(load.resolve(`ssh2/${file}`)))
      .digest('hex'),
  ).toBe(sum)
})
