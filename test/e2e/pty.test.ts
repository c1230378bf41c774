/** Sessions on a terminal, with the real OpenSSH client on a real pseudo terminal: issue 2, point 2. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Terminal, TerminalOptions } from '../support/pty.ts'
import { openRoad, ROADS, type Road } from '../support/roads.ts'

describe.each(ROADS)('terminal on %s', (name) => {
  let road: Road
  const open: Terminal[] = []
  const terminal = (args: readonly string[], options?: TerminalOptions) => {
    const made = road.client.terminal(args, options)
    open.push(made)
    return made
  }
  /** A shell with a prompt that nothing else prints, already shown. */
  const shell = async (options?: TerminalOptions) => {
    const made = terminal(['-t', 't'], options)
    await made.expect('$')
    made.send("PS1='rea''dy>'\n")
    await made.expect('ready>')
    return made
  }
  beforeAll(async () => {
    road = await openRoad(name)
  })
  afterEach(() => {
    for (const one of open.splice(0)) one.kill()
  })
  afterAll(() => road?.close())

  test('gives a login shell on a terminal, whose exit code comes back', async () => {
    const it = await shell()
    it.send('echo "$0 $(tty) $SSH_TTY $TERM"; shopt login_shell\n')
    await it.expect(/-bash (\/dev\/pts\/\d+) \1 xterm-256color\r\n/)
    await it.expect(/login_shell\s+on/)
    it.send('exit 7\n')
    expect(await it.exit()).toBe(7)
    expect(it.output()).not.toContain('no job control')
  })

  test('has the right size for the very first command', async () => {
    const it = terminal(['-t', 't', 'stty size'], { cols: 123, rows: 37 })
    await it.expect('37 123\r\n')
    expect(await it.exit()).toBe(0)
  })

  test('keeps a size of 0x0', async () => {
    const { stdout } = await road.client.ssh(['-tt', 't', 'stty size'])
    expect(stdout.toString().trim()).toBe('0 0')
  })

  test('forwards a window change while a program runs', async () => {
    const it = await shell()
    it.send("sh -c 'trap \"stty size; exit\" WINCH; echo wait''ing; while :; do sleep 0.1; done'\n")
    await it.expect('waiting')
    it.resize(111, 50)
    await it.expect('50 111')
  })

  test('takes TERM from the client', async () => {
    const it = terminal(['-t', 't', 'echo "term=$TERM"'], { term: 'vt220' })
    await it.expect('term=vt220')
  })

  test('sets no TERM where the client has none', async () => {
    const { stdout } = await road.client.ssh(['-tt', 't', 'env | grep ^TERM='], { env: { TERM: '' } })
    expect(stdout.toString()).toBe('')
  })

  test('joins stdout and stderr and ends lines with CRLF', async () => {
    const { stdout, stderr } = await road.client.ssh(['-tt', 't', 'echo out; echo err >&2'])
    expect([stdout.toString(), stderr.toString()]).toEqual(['out\r\nerr\r\n', ''])
  })

  test.each([0, 1, 23, 255])('gives exit code %i of a command on a terminal', async (code) => {
    expect((await road.client.ssh(['-tt', 't', `exit ${code}`])).code).toBe(code)
  })

  test('interrupts the foreground program by ^C and goes on', async () => {
    const it = await shell()
    it.send('sh -c \'echo sta""rted; exec sleep 60\'\n')
    await it.expect('started')
    it.send('\x03')
    await it.expect('ready>')
    it.send('echo "code=$?"\n')
    await it.expect('code=130')
  })

  test('ends input by ^D', async () => {
    const it = await shell()
    it.send('sh -c "echo go; cat"\n')
    await it.expect(/go\r\n/)
    it.send('abc\n')
    await it.expect(/abc\r\n.*abc\r\n/s)
    it.send('\x04')
    await it.expect('ready>')
    it.send('\x04')
    expect(await it.exit()).toBe(0)
  })

  test('suspends by ^Z, lists jobs and brings one back', async () => {
    const it = await shell()
    it.send('sh -c \'echo sta""rted; sleep 3; echo fin""ished\'\n')
    await it.expect('started')
    it.send('\x1a')
    await it.expect('Stopped')
    it.send('jobs\n')
    await it.expect(/\[1\]\+\s+Stopped/)
    it.send('fg\n')
    await it.expect('finished')
  })

  test("delivers ctrl-p and the rest of the engine's detach keys", async () => {
    const it = await shell()
    it.send("stty raw -echo; echo g''o; dd bs=1 count=4 2>/dev/null | od -An -tx1; stty sane\n")
    await it.expect('go')
    for (const key of ['\x10', '\x10', '\x10', '\x11']) it.send(key)
    await it.expect('10 10 10 11')
  })

  test('shows one typed ctrl-p at once', async () => {
    const it = await shell()
    it.send('echo rec""alled-$((40+2))\n')
    await it.expect('recalled-42')
    await it.expect('ready>')
    it.send('\x10')
    // bash's own history recall: nothing else is typed, so a key held back would never show.
    await it.expect('echo rec""alled', 5000)
    it.send('\n')
    await it.expect('recalled-42')
  })

  test('carries UTF-8 in both directions', async () => {
    const it = terminal(['-t', 't', 'echo go; cat'])
    await it.expect('go')
    it.send('é漢ü\n')
    await it.expect(/é漢ü\r\n.*é漢ü/s)
    it.send('\x04')
    expect(await it.exit()).toBe(0)
  })

  test('loses no output at the end of a command', async () => {
    const { stdout } = await road.client.ssh(['-tt', 't', 'seq 1 20000; exit 3'])
    expect(stdout.toString().trimEnd().split('\r\n').length).toBe(20_000)
    expect(stdout.toString().trimEnd().endsWith('20000')).toBe(true)
  })

  test('edits and saves a file in vim', async () => {
    const it = await shell({ cols: 100, rows: 30 })
    it.send('rm -f /tmp/hw-vim; vi /tmp/hw-vim\n')
    await it.expect('\x1b[29;1H~') // the last line of an empty buffer at this size
    it.send('ihello from vi\x1b:wq\r')
    await it.expect('ready>')
    it.send('cat /tmp/hw-vim\n')
    await it.expect('hello from vi\r\n')
  })

  test('runs tmux at the full size of the terminal, detaches and attaches again', async () => {
    const it = await shell({ cols: 120, rows: 33 })
    // tmux takes keys that come within a millisecond of each other for pasted text, in which no key is a command.
    it.send('tmux -L hw kill-server; tmux -L hw new -s work \\; set -g assume-paste-time 0\n')
    await it.expect('[work]')
    it.send('echo in-tmux-$((1+1)) $(tput lines)x$(tput cols)\n')
    await it.expect('in-tmux-2 32x120')
    it.send('\x02d')
    await it.expect('[detached')
    await it.expect('ready>')
    it.send('tmux -L hw attach -t work\n')
    await it.expect('in-tmux-2')
    it.send('\x02d')
    await it.expect('ready>')
    it.send('tmux -L hw kill-server\n')
    await it.expect('ready>')
  })
})
