/** What the log says of files: issue 5, point 2. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

describe.each([true, false])('log.files: %s', (files) => {
  let keys: Keys
  let container: TestContainer
  let gateway: Gateway
  let client: SshClient
  beforeAll(async () => {
    keys = await makeKeys()
    container = await startContainer('busybox')
    gateway = await startGateway({
      keys,
      engine: 'docker',
      env: { HATCHWAY_LOG_FORMAT: 'json', HATCHWAY_LOG_FILES: String(files) },
    })
    client = await makeSshClient(gateway.target(`root@${container.name}`))
  })
  afterAll(async () => {
    await client?.close()
    await gateway?.stop()
    await container?.remove()
    await keys?.close()
  })

  test('what a client did to files, with path and result', async () => {
    const file = join(client.dir, 'up')
    await writeFile(file, Buffer.alloc(100_000, 'x'))
    const done = await client.sftp(
      [
        `put ${file} /tmp/up`,
        `get /tmp/up ${file}.back`,
        'chmod 600 /tmp/up',
        'rename /tmp/up /tmp/moved',
        'mkdir /tmp/made',
        'rmdir /tmp/made',
        '-rm /tmp/nothing',
        'rm /tmp/moved',
      ].join('\n'),
    )
    expect(done.code).toBe(0)
    await until('the session’s end', () => gateway.log().includes('"session ended"'))
    const lines = gateway
      .log()
      .split('\n')
      .filter((line) => line.includes('"sftp '))
      .map((line): Record<string, unknown> => JSON.parse(line))
    if (!files) return expect(lines).toEqual([])
    const short = lines.map(({ msg, path, target, result }) => [msg, path, ...(target ? [target] : []), result])
    expect(short).toEqual([
      ['sftp open', '/tmp/up', 'OK'],
      ['sftp close', '/tmp/up', 'OK'],
      ['sftp open', '/tmp/up', 'OK'],
      ['sftp close', '/tmp/up', 'OK'],
      ['sftp setstat', '/tmp/up', 'OK'],
      ['sftp rename', '/tmp/up', '/tmp/moved', 'OK'],
      ['sftp mkdir', '/tmp/made', 'OK'],
      ['sftp rmdir', '/tmp/made', 'OK'],
      ['sftp remove', '/tmp/nothing', 'NO_SUCH_FILE'],
      ['sftp remove', '/tmp/moved', 'OK'],
    ])
    expect(lines[1]).toMatchObject({ bytesRead: 0, bytesWritten: 100_000, container: container.name, user: 'root' })
    expect(lines[3]).toMatchObject({ bytesRead: 100_000, bytesWritten: 0 })
    expect(lines[4]).toMatchObject({ attributes: { mode: 0o600 } })
  })
})
