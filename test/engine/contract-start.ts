import { expect } from 'vitest'
import type { Promised } from './contract-bench.ts'
import { runIn } from './run.ts'

export function startTests(promised: Promised): void {
  promised('answers 127 and a line on stderr for a missing command', async ({ engine, id }) => {
    for (const command of ['hw-nosuch', '/no/such/file', '']) {
      const ran = await runIn(engine, id, [command])
      expect(ran.error?.message).toBeUndefined()
      expect([ran.status, ran.text]).toEqual([{ code: 127 }, ''])
      expect(ran.err.toString()).toMatch(/^hatchway: .*: command not found\n$/)
    }
  })

  promised('answers 126 and a line on stderr for what cannot be executed', async ({ engine, id }) => {
    for (const command of ['/etc/passwd', '/etc']) {
      const ran = await runIn(engine, id, [command])
      expect([ran.status, ran.text]).toEqual([{ code: 126 }, ''])
      expect(ran.err.toString()).toBe(`hatchway: ${command}: permission denied\n`)
    }
  })

  promised('answers 126 and a line on stderr for a working directory that is not there', async ({ engine, id }) => {
    const ran = await runIn(engine, id, ['true'], { cwd: '/no/such' })
    expect([ran.status, ran.text, ran.err.toString()]).toEqual([
      { code: 126 },
      '',
      'hatchway: /no/such: no such directory in the container\n',
    ])
  })

  promised('gives the engine’s reason where it is not the command that is missing', async ({ engine, container }) => {
    const { id } = await container()
    expect((await runIn(engine, id, ['rm', '/dev/null'])).status).toEqual({ code: 0 })
    const ran = await runIn(engine, id, ['/bin/sh', '-c', 'echo in'])
    expect([ran.error?.code, ran.text, ran.err.toString()]).toEqual(['ENGINE_ERROR', '', ''])
    expect(ran.error?.message).toContain('/dev/null')
  })

  promised('says on a terminal, too, that a command is missing', async ({ engine, id }) => {
    const ran = await runIn(engine, id, ['hw-nosuch'], { tty: { cols: 80, rows: 24 } })
    expect([ran.status, ran.text]).toEqual([{ code: 127 }, 'hatchway: hw-nosuch: command not found\r\n'])
  })

  promised(
    'says USER_NOT_FOUND for an unknown user and an impossible uid, and prints nothing',
    async ({ engine, id }) => {
      for (const user of ['hw-nobody', '0:hw-nogroup', '99999999999']) {
        const ran = await runIn(engine, id, ['echo', 'never'], { user })
        expect([ran.error?.code, ran.text, ran.err.toString()]).toEqual(['USER_NOT_FOUND', '', ''])
      }
    },
  )

  promised('runs as a name, a uid, a uid without an entry, and uid:gid', async ({ engine, id }) => {
    const as = async (user: string) => (await runIn(engine, id, ['sh', '-c', 'id -u; id -g'], { user })).text
    expect(await as('dev')).toBe('1000\n1000\n')
    expect(await as('1000')).toBe('1000\n1000\n')
    expect(await as('54321')).toBe('54321\n0\n')
    expect(await as('54321:12345')).toBe('54321\n12345\n')
  })

  promised('runs as the container’s own user, with the groups it was run with', async ({ engine, container }) => {
    const { id } = await container('--user', '54321:12345', '--group-add', '5555')
    const ran = await runIn(engine, id, ['sh', '-c', 'id -u; id -g; id -G'], { user: '' })
    expect(ran.text).toBe('54321\n12345\n12345 5555\n')
  })

  promised('sets the working directory', async ({ engine, id }) => {
    expect((await runIn(engine, id, ['pwd'], { cwd: '/tmp' })).text).toBe('/tmp\n')
  })

  promised('sets variables with any text in them, and drops an entry that is none', async ({ engine, id }) => {
    const env = ['HW_A=x=y z', 'HW_B=', 'HW_C=\'$HOME`id`"\\', 'HW_D=ü\nline', 'HW_NONE']
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell inside expands it
    const script = 'printf "%s|" "$HW_A" "${HW_B-unset}" "$HW_C" "$HW_D" "${HW_NONE-unset}"'
    const ran = await runIn(engine, id, ['sh', '-c', script], { env })
    expect(ran.text).toBe('x=y z||\'$HOME`id`"\\|ü\nline|unset|')
  })

  promised('gives the program its arguments untouched', async ({ engine, id }) => {
    const args = ['a b', '', '--help', '$HOME', "it's", '"q"', '\\n', 'é', 'x'.repeat(100_000)]
    const ran = await runIn(engine, id, ['sh', '-c', 'printf "%s\\n" "$@"', 'sh', ...args])
    expect(ran.text).toBe(`${args.join('\n')}\n`)
  })

  promised('says 126 for an argument that the kernel refuses', async ({ engine, id }) => {
    const ran = await runIn(engine, id, ['true', 'x'.repeat(140_000)])
    expect([ran.status, ran.text, ran.err.toString()]).toEqual([
      { code: 126 },
      '',
      'hatchway: true: argument list too long\n',
    ])
  })

  promised(
    'runs 30 programs at once',
    async ({ engine, id }) => {
      const codes = Array.from({ length: 30 }, (_, index) => index)
      const ran = await Promise.all(
        codes.map((code) =>
          runIn(engine, id, ['sh', '-c', `cat; exit ${code}`], { stdin: `in ${code}`, limit: 80_000 }),
        ),
      )
      expect(ran.map((one) => one.status)).toEqual(codes.map((code) => ({ code })))
      expect(ran.map((one) => one.text)).toEqual(codes.map((code) => `in ${code}`))
    },
    90_000,
  )
}
