import { expect } from 'vitest'
import { T, u8, u32 } from './client.ts'
import { suite } from './suite.ts'

const mode = (opcode: number, value: number) => Buffer.concat([u8(opcode), u32(value)])

suite('pty', ({ run, start }) => {
  run('is the controlling terminal, of the size asked for, owned by the user', async () => {
    const client = await start()
    const channel = client.sh('tty; echo $SSH_TTY; stty size; stat -c "%u %g %a" $(tty); echo ok >/dev/tty', {
      pty: { cols: 123, rows: 45 },
    })
    await channel.closed()
    const lines = channel.out.toString().split('\r\n')
    expect(lines[0]).toMatch(/^\/dev\/pts\/\d+$/)
    expect(lines.slice(1)).toEqual([lines[0], '45 123', expect.stringMatching(/^\d+ \d+ 6[02]0$/), 'ok', ''])
    // devpts gives it the group of its mount option; without one it is the user's own, who then shares with nobody.
    const [uid, gid, bits] = (lines[3] ?? '').split(' ')
    expect([Number(uid), bits]).toEqual([process.getuid?.(), Number(gid) === process.getgid?.() ? '600' : '620'])
    expect(channel.has(T.EOF2)).toBeUndefined()
  })

  run('RFC 4254 modes are applied before the program runs', async () => {
    const client = await start()
    const modes = Buffer.concat([
      mode(1, 1), // VINTR ^A
      mode(3, 8), // VERASE ^H
      mode(10, 255), // VSUSP undefined
      mode(36, 0), // ICRNL
      mode(42, 1), // IUTF8
      mode(53, 0), // ECHO
      mode(72, 0), // ONLCR
      mode(90, 0), // CS7: an 8-bit client says no
      mode(91, 1), // CS8
      mode(128, 9600),
      mode(129, 9600),
      mode(150, 7), // no such mode
      u8(0),
    ])
    const channel = await client.sh('stty -a; stty speed', { pty: { modes } }).closed()
    const text = channel.out.toString()
    expect(text).toContain('speed 9600 baud')
    for (const word of ['intr = ^A', 'erase = ^H', 'susp = <undef>', '-icrnl', 'iutf8', '-echo ', '-onlcr', 'cs8']) {
      expect(text).toContain(word)
    }
    for (const word of ['opost', 'icanon', 'isig', 'ixon']) expect(text).toMatch(new RegExp(`(^|\\s)${word}`))
    expect(text).not.toContain('\r\n')
  })

  run('modes that are cut short or that no one knows do no harm', async () => {
    const client = await start()
    for (const modes of [u8(53), u8(53, 0, 0), Buffer.concat([u8(200), u32(0), mode(53, 0)]), Buffer.alloc(5000, 7)]) {
      const channel = await client.sh('stty -a', { pty: { modes } }).closed()
      expect(channel.out.toString()).toContain(' echo ')
    }
  })

  run('RESIZE is seen by the program', async () => {
    const client = await start()
    const channel = client.spawn(
      ['bash', '-c', 'trap "stty size; exit" WINCH; echo ready; while :; do sleep 0.05; done'],
      {
        pty: true,
      },
    )
    await channel.waitText('ready')
    channel.resize(200, 50)
    await channel.waitText('50 200')
    await channel.closed()
  })

  run('EOF is the end-of-file character', async () => {
    const client = await start()
    const channel = client.spawn(['cat'], { pty: true })
    await channel.wait(T.OPENED)
    channel.data('line\n')
    channel.eof()
    await channel.closed()
    expect(channel.out.toString()).toBe('line\r\nline\r\n')
    expect(await channel.exit()).toEqual([0, 0, 0])
  })

  run('a program that lets go of its terminal is not hung up for that', async () => {
    const client = await start()
    const channel = client.sh('exec </dev/null >/dev/null 2>&1; sleep 0.5; exit 4', { pty: true })
    await channel.wait(T.EOF)
    await channel.closed()
    expect(await channel.exit()).toEqual([0, 4, 0])
  })

  run('SIGNAL goes to the foreground group, not to the shell', async () => {
    const client = await start()
    const channel = client.spawn(['bash', '--norc', '-i'], { pty: true, env: ['PS1=> '] })
    await channel.wait(T.OPENED)
    channel.data('sleep 60; echo after $?\n')
    await channel.waitText('after $?')
    await new Promise((resolve) => setTimeout(resolve, 400))
    channel.signal(15)
    await channel.waitText('after 143')
    channel.data('exit 4\n')
    expect(await channel.exit()).toEqual([0, 4, 0])
  })

  run('^C reaches the foreground program', async () => {
    const client = await start()
    const channel = client.sh('echo go; exec sleep 60', { pty: true })
    await channel.waitText('go')
    channel.data('\x03')
    expect(await channel.exit()).toEqual([1, 2, 0])
  })

  run('EXIT comes after all that the program wrote', async () => {
    const client = await start()
    for (let i = 0; i < 10; i++) {
      const channel = client.sh('seq 20000', { pty: true })
      await channel.wait(T.EXIT)
      const exit = channel.frames.findIndex((frame) => frame.type === T.EXIT)
      const before = channel.frames.slice(0, exit).filter((frame) => frame.type === T.DATA)
      expect(Buffer.concat(before.map((frame) => frame.payload)).toString()).toMatch(/\r\n20000\r\n$/)
    }
  })

  run('EXIT comes although somebody else keeps the terminal open and writes on', async () => {
    const client = await start()
    const channel = client.spawn(['bash', '-c', 'trap "" HUP; (while echo more; do :; done) & sleep 0.2; exit 5'], {
      pty: true,
    })
    expect(await channel.exit()).toEqual([0, 5, 0])
    channel.close(1)
    await channel.closed()
  })

  run('EXIT comes although the reader has no credit left', async () => {
    const client = await start()
    const channel = client.sh('printf 12345; exit 6', { pty: true, credit: 5 })
    expect(await channel.exit()).toEqual([0, 6, 0])
    await channel.closed()
  })
})
