import { expect, test } from 'vitest'
import { firstEntry } from '../../src/bytes/tar.ts'

function header(type: string, size: string): Buffer {
  const block = Buffer.alloc(512)
  block.write('name', 0)
  block.write(size, 124)
  block.write(type, 156)
  return block
}

test('a file is its content, a link its target, behind records of either kind', () => {
  const content = Buffer.alloc(512, 'x')
  expect(firstEntry(Buffer.concat([header('0', '00000000003'), content]))).toEqual({
    type: 'file',
    content: Buffer.from('xxx'),
  })
  const record = Buffer.alloc(512)
  record.write('16 linkpath=far\n')
  const link = Buffer.concat([header('x', '00000000020'), record, header('2', '0')])
  expect(firstEntry(link)).toEqual({ type: 'link', target: 'far' })
  expect(firstEntry(Buffer.alloc(1024))).toBeUndefined()
})

test('a size below nothing goes round in no circle', () => {
  const circle = Buffer.concat([header('g', '-1000'), header('0', '0')])
  expect(firstEntry(circle)).toEqual({ type: 'file', content: Buffer.alloc(0) })
})
