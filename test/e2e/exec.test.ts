/** Commands without a terminal, with the real OpenSSH client: issue 2, point 3. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { testMark } from '../support/containers.ts'
import { openRoad, ROADS, type Road } from '../support/roads.ts'
import { sleep, until } from '../support/wait.ts'

describe.each(ROADS)('exec on %s', (name) => {
  let road: Road
  beforeAll(async () => {
    road = await openRoad(name)
  })
  afterAll(() => road?.close())

  test('runs a command as the user and prints nothing of its own', async () => {
    const { code, stdout, stderr } = await road.client.exec('whoami')
    expect({ code, stdout: stdout.toString(), stderr: stderr.toString() }).toEqual({
      code: 0,
      stdout: 'dev\n',
      stderr: '',
    })
  })

  test('keeps stdout and stderr apart', async () => {
    const { stdout, stderr } = await road.client.exec('echo out; echo err >&2; echo out2')
    expect([stdout.toString(), stderr.toString()]).toEqual(['out\nout2\n', 'err\n'])
  })

  test.each([0, 1, 2, 42, 126, 127, 128, 129, 137, 143, 254, 255])('gives exit code %i as it is', async (code) => {
    expect((await road.client.exec(`exit ${code}`)).code).toBe(code)
  })

  test('says 127 for a command that is not there, on stderr', async () => {
    const { code, stdout, stderr } = await road.client.exec('no-such-command')
    expect([code, stdout.toString()]).toEqual([127, ''])
    expect(stderr.toString()).toContain('not found')
  })

  test('says 126 for a file that is not executable', async () => {
    expect((await road.client.exec('/etc/hostname')).code).toBe(126)
  })

  test.each(['TERM', 'KILL', 'SEGV'])('reports death by SIG%s as a signal, not as an exit status', async (signal) => {
    const { code, stderr } = await road.client.ssh(['-v', 't', `kill -${signal} $$`])
    expect(code).toBe(255)
    expect(stderr.toString()).toContain('rtype exit-signal')
  })

  test('sends all 256 byte values both ways unchanged', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 * 64 }, (_, index) => index % 256))
    const { stdout } = await road.client.exec('cat', { input: bytes })
    expect(stdout.equals(bytes)).toBe(true)
    const { stderr } = await road.client.exec('cat >&2', { input: bytes })
    expect(stderr.equals(bytes)).toBe(true)
  })

  test('carries 10 MB both ways at once without loss', async () => {
    const bytes = randomBytes(10 * 1024 * 1024)
    const { code, stdout } = await road.client.exec('cat', { input: bytes })
    expect(code).toBe(0)
    expect(stdout.equals(bytes)).toBe(true)
  })

  test('keeps 3 MB of stderr after stdout has ended', async () => {
    const { stdout, stderr } = await road.client.exec('echo first; exec >&-; head -c 3000000 /dev/zero >&2')
    expect([stdout.toString(), stderr.length]).toEqual(['first\n', 3_000_000])
  })

  test('ends stdin at once when the client has none', async () => {
    const { code, stdout } = await road.client.ssh(['-n', 't', 'cat; echo end'])
    expect([code, stdout.toString()]).toEqual([0, 'end\n'])
  })

  test('keeps sending output after the client ended its stdin', async () => {
    const { stdout } = await road.client.exec('cat >/dev/null; sleep 0.7; echo late', { input: 'x\n' })
    expect(stdout.toString()).toBe('late\n')
  })

  test('survives a command that never reads the 5 MB it is sent', async () => {
    const { code, stdout } = await road.client.exec('echo done; exit 3', { input: Buffer.alloc(5_000_000, 'x') })
    expect([code, stdout.toString()]).toEqual([3, 'done\n'])
  })

  test('takes a command of 100 KB', async () => {
    const { stdout } = await road.client.exec(`printf %s ${'a'.repeat(102_400)} | wc -c`)
    expect(stdout.toString().trim()).toBe('102400')
  })

  test('hands the command to the shell untouched', async () => {
    const nasty = 'a\'b"c$HOME`id`\\n *?[x] ~ ;&|<>()#!\nsecond\tline é漢 %s'
    const quoted = nasty.replaceAll("'", "'\\''")
    const { stdout } = await road.client.exec(`printf '%s' '${quoted}'`)
    expect(stdout.toString()).toBe(nasty)
  })

  test("runs the user's own shell with -c, neither login nor interactive", async () => {
    const { stdout } = await road.client.exec('echo "$0 $-"; shopt login_shell')
    expect(stdout.toString()).toMatch(/^bash [^i]*\nlogin_shell\s+off\n$/)
  })

  test('runs a login shell when there is no command and no terminal', async () => {
    const { stdout } = await road.client.ssh(['-T', 't'], { input: 'echo "argv0=$0"; exit 4\n' })
    expect(stdout.toString()).toContain('argv0=-bash')
  })

  test('sends the exit status before the channel closes', async () => {
    const { stderr } = await road.client.ssh(['-vv', 't', 'echo x'])
    const log = stderr.toString()
    expect(log).toContain('rtype exit-status')
    expect(log.indexOf('rtype exit-status')).toBeLessThan(log.indexOf('rcvd close'))
    expect(log).toContain('rcvd eof')
  })

  test('waits for a background holder of stdout and shows what it wrote', async () => {
    const { code, stdout } = await road.client.exec('(sleep 0.8; echo late) & echo now; exit 5')
    expect([code, stdout.toString()]).toEqual([5, 'now\nlate\n'])
  })

  test('returns at once when the background job holds nothing, and the job lives on', async () => {
    const mark = testMark()
    const job = `nohup sh -c 'sleep 300; : ${mark}' >/dev/null 2>&1 </dev/null & echo ok`
    const { code, stdout, timedOut } = await road.client.exec(job)
    expect([code, stdout.toString(), timedOut]).toEqual([0, 'ok\n', false])
    await sleep(1000)
    expect(await road.container.count(mark, 'kill')).toBeGreaterThan(0)
  })

  test('starts in the home directory with the environment of a login', async () => {
    const { stdout } = await road.client.exec('pwd; echo "$HOME $USER $LOGNAME $SHELL"; umask; tty')
    expect(stdout.toString()).toBe('/home/dev\n/home/dev dev dev /bin/bash\n0022\nnot a tty\n')
  })

  test('has the supplementary groups of the user', async () => {
    const { stdout } = await road.client.exec('id -Gn')
    expect(stdout.toString().trim().split(' ').sort()).toEqual(['deploy', 'dev', 'devs'])
  })

  test("says the client's address in SSH_CONNECTION and SSH_CLIENT", async () => {
    const { stdout } = await road.client.exec('echo "$SSH_CONNECTION|$SSH_CLIENT|$SSH_TTY"')
    const [connection = '', client = '', tty] = stdout.toString().trim().split('|')
    expect(connection).toMatch(/^[\d.]+ \d+ [\d.]+ \d+$/)
    const [address, port, , serverPort] = connection.split(' ')
    expect(client).toBe(`${address} ${port} ${serverPort}`)
    expect(serverPort).toBe(String(road.client.target.port))
    expect(tty).toBe('')
  })

  test('takes LANG and LC_* of the client and nothing else', async () => {
    const { stdout } = await road.client.ssh(
      ['-o', 'SendEnv=LANG LC_TEST HW_DENIED LD_PRELOAD', 't', 'echo "$LANG|$LC_TEST|$HW_DENIED|$LD_PRELOAD"'],
      { env: { LANG: 'C.UTF-8', LC_TEST: 'x y', HW_DENIED: 'denied' } },
    )
    expect(stdout.toString()).toBe('C.UTF-8|x y||\n')
  })

  test('runs ten sessions at once on one connection', async () => {
    const control = `${road.client.dir}/control`
    const master = road.client.ssh(['-M', '-S', control, '-N', 't'], { limit: 25_000 })
    await until('a master', async () => (await road.client.ssh(['-S', control, '-O', 'check', 't'])).code === 0)
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => road.client.ssh(['-S', control, 't', `sleep 0.5; exit ${index + 1}`])),
    )
    await road.client.ssh(['-S', control, '-O', 'exit', 't'])
    await master
    expect(answers.map(({ code }) => code)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })
})
