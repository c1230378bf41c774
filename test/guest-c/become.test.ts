/** `serve UID:GID[,GID...]`: root becomes the user for good, or does not serve at all. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { T } from './client.ts'
import { suite } from './suite.ts'

const IDS = 'for k in Uid Gid Groups CapEff CapPrm; do grep "^$k:" /proc/self/status; done | tr "\\t" " "'

if (process.getuid?.() !== 0) test.skip('serve as another user (only root can)', () => {})
else
  suite('become', ({ run, start, build }) => {
    const refused = async (become: string, who: { uid?: number; gid?: number } = {}) => {
      const [file = '', ...args] = [...build.wrap, build.binary, 'serve', become]
      return promisify(execFile)(file, args, { env: build.env, ...who }).then(
        () => undefined,
        ({ code, stderr, stdout }) => ({ code, stderr: String(stderr), stdout: String(stdout) }),
      )
    }

    run('it is that user, with those groups and no other, and without capabilities', async () => {
      const client = await start({ become: '1234:2345,27,99' })
      const hello = (await client.connection(T.HELLO)).payload
      expect([hello.readUInt32BE(10), hello.readUInt32BE(14)]).toEqual([1234, 2345])
      const channel = await client.sh(IDS).closed(15_000)
      expect(channel.out.toString()).toBe(
        [
          ...['Uid: 1234 1234 1234 1234', 'Gid: 2345 2345 2345 2345', 'Groups: 27 99 2345 '],
          ...['CapEff: 0000000000000000', 'CapPrm: 0000000000000000', ''],
        ].join('\n'),
      )
    })

    run('a user without groups, whose group is root’s', async () => {
      const client = await start({ become: '1234:0' })
      const channel = await client.sh('grep ^Groups: /proc/self/status; cat /etc/shadow').closed(15_000)
      expect(channel.out.toString()).toBe('Groups:\t0 \n')
      expect(channel.err.toString()).toMatch(/denied/)
    })

    run('root with other groups', async () => {
      const client = await start({ become: '0:0,27' })
      expect((await client.sh('grep ^Groups: /proc/self/status').closed(15_000)).out.toString()).toBe(
        'Groups:\t0 27 \n',
      )
    })

    run('words that are no such list start nothing', async () => {
      const many = Array.from({ length: 8193 }, (_, index) => index).join()
      for (const wrong of [
        '',
        'root',
        '1',
        '1:',
        ':1',
        '1:2,',
        '1:2,x',
        '1:2 ',
        '-1:0',
        '4294967295:0',
        '0:4294967296',
        `1:2,${many}`,
      ]) {
        expect(await refused(wrong), wrong.slice(0, 20)).toMatchObject({ code: 2, stdout: '' })
      }
    })

    run('who is not root becomes nobody, not even itself', async () => {
      const nobody = { uid: 65_534, gid: 65_534 }
      expect(await refused('1234:1234', nobody)).toMatchObject({ code: 1, stdout: '' })
      expect((await refused('0:0', nobody))?.stderr).toMatch(/cannot become the user/)
    })
  })
