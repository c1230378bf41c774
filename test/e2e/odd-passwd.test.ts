/** A passwd file of any size and with any bytes in it, on both roads. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { type PolicyWorld, policyWorld } from '../support/policy.ts'

/** 45,000 users of a directory before those that count: nearly 4 MiB. Then \351, an é of latin1: in a name and home, in a full name. */
const PASSWD = `
  seq 45000 | sed 's#.*#user-of-the-directory-&:x:&:100:A Name, Room 1,,:/home/directory/&:/bin/sh#' >>/etc/passwd
  printf 'jos:x:70001:70001:Jos\\351,,,:/home/jos\\351:/bin/sh\\n' >>/etc/passwd
  printf 'n\\351:x:70002:70002::/home/late:/bin/sh\\n' >>/etc/passwd
  for d in "$(printf 'jos\\351')" late; do mkdir -p "/home/$d"; done
  chown 70001 "/home/$(printf 'jos\\351')"; chown 70002 /home/late
`

describe.each([
  ['auto', 'busybox'],
  ['off', 'debian'],
  ['off', 'busybox'],
] as const)('guest: %s, %s', (guest, image) => {
  let world: PolicyWorld
  let web: TestContainer
  beforeAll(async () => {
    ;[world, web] = await Promise.all([policyWorld({ alice: '' }, {}, guest), startContainer(image)])
    expect((await web.inside(PASSWD)).stderr.toString()).toBe('')
  })
  afterAll(async () => {
    await Promise.all([web?.remove(), world?.close()])
  })
  const as = (user: string) => world.as('alice', `${user}@${web.name}`)

  test('the last of many users are found, and their bytes are what they were', async () => {
    const { code, stdout, stderr } = await (await as('jos')).exec('printf %s "$HOME $PWD"; pwd >f')
    expect([code, stderr.toString()]).toEqual([0, ''])
    expect(stdout.toString('latin1')).toBe('/home/jos\xe9 /home/jos\xe9')
    const late = await (await as('70002')).exec('printf %s "$USER $LOGNAME $PWD"')
    expect(late.stdout.toString('latin1')).toBe('n\xe9 n\xe9 /home/late')
  })

  test('sftp starts in a home of such a name', async () => {
    const file = join(world.folder, 'file')
    await writeFile(file, 'x')
    const { code, stderr } = await (await as('jos')).sftp(`put ${file} /tmp/absolute\n`)
    expect([code, stderr.toString()]).toEqual([0, ''])
    // The engine's copy call knows names of text only, so it starts in /.
    const copied = guest === 'off' && image === 'busybox'
    const relative = await (await as('jos')).sftp(`put ${file} relative\n`)
    const there = await web.inside(`cat "/home/$(printf 'jos\\351')/relative"`)
    expect([relative.code === 0, there.stdout.toString()]).toEqual([!copied, copied ? '' : 'x'])
  })
})
