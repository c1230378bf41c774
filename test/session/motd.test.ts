import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readMotd } from '../../src/session/motd.ts'

test('lines end as a terminal wants them, bytes stay what they are, and there is an end to it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'hw-test-motd-'))
  const file = join(folder, 'motd')
  try {
    writeFileSync(file, Buffer.from('Grüße\nand more\r\n\xff\n', 'utf8'))
    expect((await readMotd(file)).toString()).toBe('Grüße\r\nand more\r\n\xff\r\n')
    writeFileSync(file, Buffer.alloc(1_000_000, 'x'))
    expect((await readMotd(file)).length).toBe(65_536)
    await expect(readMotd(join(folder, 'none'))).rejects.toThrow('ENOENT')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
