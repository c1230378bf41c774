/** The command lines of `hatchway audit ...`; what they do is loaded when they run. */
import type { Command } from 'commander'
import type { SearchFlags } from '../audit.ts'
import type { ConfigFlags } from '../flags.ts'
import { collect, configOption, jsonOption, print } from './options.ts'

const FILE = 'the file of the trail (default: audit.file of the configuration)'
const KEYS = 'where the gateway keeps its keys'

interface VerifyOptions extends ConfigFlags {
  readonly key?: readonly string[]
  readonly anchor?: readonly string[]
  readonly json: boolean
}

export function registerAudit(program: Command): void {
  const audit = program.command('audit').description('the audit trail: who got in, where, as whom, and what they did')
  audit
    .command('search')
    .description('print records of the trail and its rotated files')
    .argument('[file]', FILE)
    .option('--who <identity>', 'of this identity or key fingerprint; * and ? match any text')
    .option('--container <container>', 'by its name, or the beginning of its id')
    .option('--action <action>', 'login, session-start, session-end, file, forward-*, policy, kill, ...')
    .option('--outcome <outcome>', 'ok, refused or failed')
    .option('--since <time>', 'such as 2h (ago), 2027-01-12 or 2027-01-12T12:00:00Z')
    .option('--until <time>', 'the same')
    .addOption(jsonOption())
    .addOption(configOption())
    .option('--keys <directory>', KEYS)
    .action(async (file: string | undefined, { config, keys, ...options }: ConfigFlags & SearchFlags) => {
      const [{ auditSearch }, { configFrom }] = await Promise.all([import('../audit.ts'), import('../flags.ts')])
      const flags = { ...(config !== undefined && { config }), ...(keys !== undefined && { keys }) }
      await auditSearch(configFrom(flags).config, file, options, process.stdout)
    })
  audit
    .command('verify')
    .description(
      'check that nothing was changed, removed, moved or cut off; exit code 0: the trail is whole, 1: it is not',
    )
    .argument('[file]', FILE)
    .option(
      '--key <file>',
      'a public key that may sign, or an allowed_signers file (default: of keysDirectory; repeatable)',
      collect,
    )
    .option('--anchor <file>', 'heads that were kept elsewhere (default: audit.anchorFile; repeatable)', collect)
    .addOption(jsonOption())
    .addOption(configOption())
    .option('--keys <directory>', KEYS)
    .action(async (file: string | undefined, { key = [], anchor = [], json, ...flags }: VerifyOptions) => {
      const [{ auditVerify }, { configFrom }] = await Promise.all([import('../audit.ts'), import('../flags.ts')])
      const { text, whole } = await auditVerify(configFrom(flags).config, file, { keys: key, anchors: anchor, json })
      print(text)
      process.exitCode = whole ? 0 : 1
    })
  audit
    .command('key')
    .description('print the key that signs the trail, for `ssh-keygen -Y verify -f`')
    .addOption(configOption())
    .option('--keys <directory>', KEYS)
    .action(async (flags: ConfigFlags) => {
      const [{ auditKey }, { configFrom }] = await Promise.all([import('../audit.ts'), import('../flags.ts')])
      print(await auditKey(configFrom(flags).config))
    })
}
