/** Users whose shell keeps them from most programs: git-shell, rbash, a program. Their shell decides on sftp, as in sshd. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { type PolicyWorld, policyWorld } from '../support/policy.ts'

/** The menu of a shell that is a program, and lets sftp pass. */
const USERS = `
  for u in git:/usr/bin/git-shell rb:/bin/rbash menu:/usr/local/bin/menu only:/usr/local/bin/sftp-only gone:/usr/bin/git-shel; do
    mkdir -p /home/\${u%%:*}
    echo "\${u%%:*}:x:1107:1107::/home/\${u%%:*}:\${u#*:}" >>/etc/passwd
    chown 1107:1107 /home/\${u%%:*}
  done
  ln -sf bash /bin/rbash
  printf '#!/bin/sh\\necho "menu: $*"\\n' >/usr/local/bin/menu
  printf '#!/bin/sh\\ncase "$2" in /usr/lib/openssh/sftp-server*) exec $2 ;; esac; echo no >&2; exit 9\\n' >/usr/local/bin/sftp-only
  chmod 755 /usr/local/bin/*
`

describe.each(['auto', 'off'] as const)('guest: %s', (guest) => {
  let world: PolicyWorld
  let lenient: PolicyWorld
  let web: TestContainer
  let put: string
  beforeAll(async () => {
    const people = { alice: '', forced: 'command="internal-sftp"' }
    ;[world, lenient, web] = await Promise.all([
      policyWorld(people, {}, guest),
      policyWorld(people, { unrestrictedShells: ['bash', 'git-shell'] }, guest),
      startContainer('debian'),
    ])
    const { stderr } = await web.inside(USERS)
    expect(stderr.toString()).toBe('')
    const file = join(world.folder, 'file')
    await writeFile(file, 'x')
    put = `put ${file} put\n`
  })
  afterAll(async () => {
    await Promise.all([web?.remove(), world?.close(), lenient?.close()])
  })
  const sftp = async (of: PolicyWorld, person: string, user: string) => {
    await web.inside(`rm -f /home/${user}/put`)
    const { code } = await (await of.as(person, `${user}@${web.name}`)).sftp(put)
    const there = (await web.inside(`cat /home/${user}/put`)).stdout.toString()
    return { code, there }
  }

  test.each(['git', 'rb', 'menu'])('%s puts no file', async (user) => {
    const { code, there } = await sftp(world, 'alice', user)
    expect(there).toBe('')
    expect(code).not.toBe(0)
  })

  test('a shell that lets sftp pass is asked, and passes it', async () => {
    expect(await sftp(world, 'alice', 'only')).toEqual({ code: 0, there: 'x' })
  })

  test('what is forced by the key is not the shell’s to refuse', async () => {
    expect(await sftp(world, 'forced', 'git')).toEqual({ code: 0, there: 'x' })
  })

  test('which shells these are is the configuration’s to say', async () => {
    expect(await sftp(lenient, 'alice', 'git')).toEqual({ code: 0, there: 'x' })
    expect((await sftp(lenient, 'alice', 'rb')).there).toBe('')
  })

  test('no other shell takes the place of one that is missing', async () => {
    const client = await world.as('alice', `gone@${web.name}`)
    for (const command of ['id', '/usr/bin/id']) {
      const { code, stdout, stderr } = await client.exec(command)
      expect([code === 0, stdout.toString()]).toEqual([false, ''])
      expect(stderr.toString()).toContain('/usr/bin/git-shel')
    }
    expect((await sftp(world, 'alice', 'gone')).there).toBe('')
  })

  test('nor does the engine’s copy call, while the container is stopped', async () => {
    await docker('stop', '-t', '0', web.name)
    const { code, stderr } = await (await world.as('alice', `git@${web.name}`)).sftp(put)
    expect([code === 0, stderr.toString()]).toEqual([false, expect.stringContaining('is for their shell to start')])
    await docker('start', web.name)
  })
})
