/** The command lines of `hatchway records ...` and `hatchway replay`; what they do is loaded when they run. */
import type { Command } from 'commander'
import type { ConfigFlags } from '../flags.ts'
import type { RecordFilter } from '../records.ts'
import type { ReplayFlags } from '../replay.ts'
import { collect, configOption, jsonOption, print } from './options.ts'

const KEYS = 'where the gateway keeps its keys'
const ID = "a record's id, or its session's"

export function registerRecords(program: Command): void {
  const records = program.command('records').description('what was recorded of sessions: list, search, verify, hold')
  records
    .command('list', { isDefault: true })
    .description('list records, oldest first')
    .option('--who <identity>', 'of this identity or key fingerprint; * and ? match any text')
    .option('--container <container>', 'by its name, or the beginning of its id')
    .option('--since <time>', 'such as 2h (ago), 2027-01-12 or 2027-01-12T12:00:00Z')
    .option('--until <time>', 'the same')
    .option('--state <state>', 'live, complete, gap, incomplete or broken')
    .addOption(jsonOption())
    .addOption(configOption())
    .action(async ({ config, ...flags }: ConfigFlags & RecordFilter & { readonly json: boolean }) => {
      const [{ recordsList }, { configFrom }] = await load()
      print(await recordsList(configFrom(config === undefined ? {} : { config }).config, flags, process.stdout.columns))
    })
  records
    .command('verify')
    .description('check that records are what the gateway wrote; exit code 0: all are, 1: not')
    .argument('[id...]', `${ID}; none: all`)
    .option('--key <file>', 'a public key that may sign (default: of keysDirectory; repeatable)', collect)
    .addOption(jsonOption())
    .addOption(configOption())
    .option('--keys <directory>', KEYS)
    .action(async (ids: string[], { key = [], json, ...flags }: VerifyOptions) => {
      const [{ recordsVerify }, { configFrom }] = await load()
      const { text, whole } = await recordsVerify(configFrom(flags).config, ids, { keys: key, json })
      print(text)
      process.exitCode = whole ? 0 : 1
    })
  records
    .command('key')
    .description('print the key that signs records, for `ssh-keygen -Y verify -f`')
    .addOption(configOption())
    .option('--keys <directory>', KEYS)
    .action(async (flags: ConfigFlags) => {
      const [{ recordsKey }, { configFrom }] = await load()
      print(await recordsKey(configFrom(flags).config))
    })
  records
    .command('hold')
    .description('legal hold: keep records, whatever keepFor and keepSize say')
    .argument('<id...>', ID)
    .option('--reason <text>', 'kept beside them')
    .addOption(configOption())
    .action(async (ids: string[], { reason, ...flags }: ConfigFlags & { readonly reason?: string }) => {
      const [{ recordsHold }, { configFrom }] = await load()
      print(await recordsHold(configFrom(flags).config, ids, reason))
    })
  records
    .command('release')
    .description('end a legal hold')
    .argument('<id...>', ID)
    .addOption(configOption())
    .action(async (ids: string[], flags: ConfigFlags) => {
      const [{ recordsRelease }, { configFrom }] = await load()
      print(await recordsRelease(configFrom(flags).config, ids))
    })
  program
    .command('replay')
    .description(
      'play what a session showed: space pauses, left and right go 5 seconds, + and - change the speed, q ends',
    )
    .argument('<id>', ID)
    .option('--speed <factor>', 'such as 2 or 0.5', '1')
    .option('--idle-limit <time>', 'cut longer silences to this, such as 2s')
    .option('--from <time>', 'begin there, such as 90s')
    .option('--cast', 'print it as an asciicast v3, for other players', false)
    .option('--cast-v2', 'print it as an asciicast v2, for older ones', false)
    .option('--bytes <stream>', 'print the exact bytes of output, stderr or input')
    .addOption(configOption())
    .action(async (id: string, { config, ...flags }: ConfigFlags & ReplayFlags) => {
      const [{ replay }, { configFrom }] = await Promise.all([import('../replay.ts'), import('../flags.ts')])
      await replay(configFrom(config === undefined ? {} : { config }).config, id, flags, process.stdin, process.stdout)
    })
}

interface VerifyOptions extends ConfigFlags {
  readonly key?: readonly string[]
  readonly json: boolean
}

function load() {
  return Promise.all([import('../records.ts'), import('../flags.ts')])
}
