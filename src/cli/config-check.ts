/** `hatchway config check`: what `serve` would refuse, what keeps everybody out, and what may not be meant. */
import { ConfigError, type LoadedConfig } from '../config/load.ts'
import { checkStart } from './check-start.ts'
import { policyWarnings } from './policy.ts'

/** @throws ConfigError with every problem; loading has thrown already if anything is wrong with the keys themselves */
export async function configCheck(loaded: LoadedConfig, print: (text: string) => void): Promise<void> {
  const { file, warnings } = loaded
  const { problems, warnings: more } = await checkStart(loaded)
  const said = [...warnings, ...more, ...policyWarnings(loaded)]
  for (const warning of said) print(`warning: ${warning}\n`)
  if (problems.length > 0) throw new ConfigError(problems)
  print(`${file ?? 'no file: the defaults'}: good\n`)
}
