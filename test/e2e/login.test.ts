/** Who and where a login name means, and what a person reads when it means nothing: issue 2, points 1, 4 and 12. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { docker, startContainer, type TestContainer, testName } from '../support/containers.ts'
import { GATEWAY_ROADS, openRoad, type Road } from '../support/roads.ts'

describe.each(GATEWAY_ROADS)('login names on %s', (name) => {
  let road: Road
  const project = testName('project')
  const folder = testName('folder')
  beforeAll(async () => {
    road = await openRoad(name, {
      containerArgs: [
        ...['--user', 'dev'],
        ...['--label', `com.docker.compose.project=${project}`, '--label', 'com.docker.compose.service=web'],
        ...['--label', `devcontainer.local_folder=/home/someone/${folder}`],
      ],
    })
  })
  afterAll(() => road?.close())

  const answer = async (user: string, command = 'id -un') => {
    // INFO: at ERROR the client hides the banner that carries the sentence.
    const client = await road.as(user, ['LogLevel INFO'])
    const { code, stdout, stderr } = await client.exec(command)
    return { code, stdout: stdout.toString().trim(), stderr: stderr.toString() }
  }

  test('user@name enters as that user', async () => {
    expect(await answer(`nohome@${road.container.name}`)).toMatchObject({ code: 0, stdout: 'nohome' })
  })

  test.each(['+', '%'])('user%sname is the same, for clients that cannot carry an @', async (mark) => {
    expect(await answer(`nohome${mark}${road.container.name}`)).toMatchObject({ code: 0, stdout: 'nohome' })
    // A user that is not there is refused as that user, not looked for as a container of that name.
    const { code, stderr } = await answer(`nobodyhere${mark}${road.container.name}`)
    expect(code).toBe(255)
    expect(stderr).toMatch(/hatchway: .*nobodyhere/)
  })

  test.each(['alice', '@', 'dev@'])('%j names no container and is told so in its session', async (login) => {
    const { code, stdout, stderr } = await answer(login)
    expect([code === 0, stdout]).toEqual([false, ''])
    expect(stderr).toContain('no container')
  })

  test('a quiet client hides what is said at the login, and never what is said in a session', async () => {
    const quiet = async (user: string, level: string) => {
      const { code, stderr } = await (await road.as(user, [`LogLevel ${level}`])).exec('true')
      return [code, stderr.toString().trim()]
    }
    const nobody = `nobodyhere@${road.container.name}`
    expect(await quiet(nobody, 'ERROR')).toEqual([255, expect.stringMatching(/^\S+: Permission denied \([^\n]*\)\.$/)])
    expect(await quiet('@', 'QUIET')).toEqual([255, expect.stringContaining('hatchway: no container named')])
  })

  test("a name alone enters as the container's own user", async () => {
    expect(await answer(road.container.name)).toMatchObject({ code: 0, stdout: 'dev' })
  })

  test('root is uid 0', async () => {
    expect(await answer(`root@${road.container.name}`, 'id -u; pwd')).toMatchObject({ code: 0, stdout: '0\n/root' })
  })

  test('an id prefix of twelve digits finds the container', async () => {
    expect(await answer(`dev@${road.container.id.slice(0, 12)}`)).toMatchObject({ code: 0, stdout: 'dev' })
  })

  test('service.project of compose finds the container', async () => {
    expect(await answer(`dev@web.${project}`)).toMatchObject({ code: 0, stdout: 'dev' })
  })

  test('the folder of a devcontainer finds the container', async () => {
    expect(await answer(`dev@${folder}`)).toMatchObject({ code: 0, stdout: 'dev' })
  })

  test('an unknown name is one sentence that names the nearest', async () => {
    const wrong = road.container.name.slice(0, -1)
    const { code, stderr } = await answer(`dev@${wrong}x`)
    expect(code).toBe(255)
    expect(stderr).toContain(`no container "${wrong}x"`)
    expect(stderr).toContain(road.container.name)
    expect(stderr).not.toContain('    at ')
  })

  test('a user that does not exist is one sentence', async () => {
    const { code, stderr } = await answer(`nobodyhere@${road.container.name}`)
    expect(code).toBe(255)
    expect(stderr).toMatch(/hatchway: .*nobodyhere/)
  })

  test('a user without a login is refused as sshd refuses', async () => {
    const { code, stdout, stderr } = await answer(`nologin@${road.container.name}`)
    expect(code).toBe(1)
    expect(stdout + stderr).toContain('This account is currently not available')
  })

  test('a user without a home starts in / and is told', async () => {
    const { code, stdout, stderr } = await answer(`nohome@${road.container.name}`, 'pwd')
    expect([code, stdout]).toEqual([0, '/'])
    expect(stderr).toContain('/home/nohome')
  })

  test('a user whose shell is missing gets another one', async () => {
    await road.container.inside('echo nozsh:x:1104:1104::/tmp:/usr/bin/zsh >>/etc/passwd')
    expect(await answer(`nozsh@${road.container.name}`, 'echo $0')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/(ba)?sh$/),
    })
  })

  test('but for one that is no general shell: it may be there to keep its user from most programs', async () => {
    const { code, stdout, stderr } = await answer(`noshell@${road.container.name}`, 'echo $0')
    expect([code, stdout]).toEqual([255, ''])
    expect(stderr).toContain(`/opt/missing/shell, the shell of this user, is not in container ${road.container.name}`)
  })

  test('a number without a passwd entry is a user', async () => {
    expect(await answer(`4242@${road.container.name}`, 'id -u')).toMatchObject({ code: 0, stdout: '4242' })
  })

  test.each(['badid', '+@ldap'])('a broken passwd line (%s) never becomes root', async (user) => {
    const { code, stdout } = await answer(`${user}@${road.container.name}`, 'id -u')
    expect([code, stdout]).toEqual([255, ''])
  })

  test('a stopped container says that it is stopped', async () => {
    const stopped = await startContainer('busybox', { name: testName('stopped') })
    try {
      await docker('kill', stopped.name)
      const { code, stderr } = await answer(`dev@${stopped.name}`)
      expect(code).toBe(255)
      expect(stderr).toMatch(new RegExp(`hatchway: container ${stopped.name} is (stopped|exited|not running)`))
    } finally {
      await stopped.remove()
    }
  })
})

describe.each(GATEWAY_ROADS)('small images on %s', (name) => {
  let road: Road
  let busybox: TestContainer
  let scratch: TestContainer
  beforeAll(async () => {
    road = await openRoad(name)
    busybox = await startContainer('busybox')
    scratch = await startContainer('scratch')
  })
  afterAll(async () => {
    await busybox?.remove()
    await scratch?.remove()
    await road?.close()
  })

  test('busybox gives a session with the right user, home and environment', async () => {
    const client = await road.as(`dev@${busybox.name}`)
    const { code, stdout } = await client.exec('id -un; pwd; echo "$SHELL $HATCHWAY_IMAGE"; exit 3')
    expect([code, stdout.toString()]).toEqual([3, 'dev\n/home/dev\n/bin/sh busybox\n'])
  })

  test('busybox gives a login shell on a terminal', async () => {
    const client = await road.as(`dev@${busybox.name}`)
    const it = client.terminal(['-t', 't'], { cols: 91, rows: 23 })
    try {
      it.send('stty size; exit 9\n')
      await it.expect('23 91')
      expect(await it.exit()).toBe(9)
    } finally {
      it.kill()
    }
  })

  test('an image without a shell runs a plain command by the helper', async () => {
    const client = await road.as(`0@${scratch.name}`)
    const { code, stdout } = await client.exec('/prog echo no shell here')
    expect([code, stdout.toString()]).toEqual([0, 'no shell here\n'])
    expect((await client.exec('/prog exit 11')).code).toBe(11)
  })

  test('an image without a shell says so in one line when one is needed', async () => {
    const client = await road.as(`0@${scratch.name}`)
    for (const command of ['echo $HOME; true', undefined]) {
      const { code, stderr } = await client.ssh(command === undefined ? ['-T', 't'] : ['t', command])
      expect(code).toBe(255)
      expect(stderr.toString()).toMatch(/^hatchway: no shell in container .*\n$/)
    }
  })
})
