/** Puts our part into the text of a user's own ssh_config, and takes it out again: a line that includes our file, or the hosts. */
import { basename } from 'node:path'
import { portablePath } from './entries.ts'

const COMMENT = '# Containers: `hatchway config-ssh --uninstall` takes this out'

/** At the top: an Include further down would belong to the Host before it. */
export function withInclude(text: string, file: string): string {
  if (hasInclude(text, file)) return withoutInline(text, file)
  const before = withoutInline(text, file)
  return `${COMMENT}\n${includeLine(file)}\n${before === '' ? '' : '\n'}${before}`
}

/** Like withInclude(), for clients that read no Include: the hosts themselves. What follows is for every host, as it was. */
export function withInline(text: string, file: string, hosts: string): string {
  const before = withoutOurs(text, file)
  const [first, last] = marks(file)
  return `${first}\n${hosts}\nHost *\n${last}\n${before === '' ? '' : '\n'}${before}`
}

export function hasInclude(text: string, file: string): boolean {
  const line = includeLine(file)
  return text.split('\n').some((existing) => existing.trim() === line)
}

/** Returns the text before withInclude() or withInline(), to the byte; a line that was moved is found, too. */
export function withoutOurs(text: string, file: string): string {
  const block = `${COMMENT}\n${includeLine(file)}\n`
  return withoutInline(text, file)
    .replaceAll(`${block}\n`, '')
    .replaceAll(block, '')
    .split('\n')
    .filter((line) => line.trim() !== includeLine(file))
    .join('\n')
}

export function hasInline(text: string, file: string): boolean {
  return withoutInline(text, file) !== text
}

function withoutInline(text: string, file: string): string {
  const [first, last] = marks(file)
  const begin = text.indexOf(`${first}\n`)
  const end = text.indexOf(`${last}\n`, begin)
  if (begin < 0 || end < 0 || (begin > 0 && text[begin - 1] !== '\n')) return text
  return `${text.slice(0, begin)}${text.slice(end + last.length + 1).replace(/^\n/, '')}`
}

/** Of the part that a file would have been. */
function marks(file: string): readonly [first: string, last: string] {
  const name = basename(file)
  return [`# Begin of hatchway/${name}: \`hatchway config-ssh --uninstall\` takes it out`, `# End of hatchway/${name}`]
}

export function includeLine(file: string): string {
  return `Include "${portablePath(file)}"`
}

/** A file of ours in the folder: "config", "known_hosts", or, of a gateway on another machine, "gateway-2222.config". */
const OUR_FILE = /(^|[/\\]|\.)(?:config|known_hosts)$/

export function isOurFile(file: string): boolean {
  return OUR_FILE.test(file)
}

/** Those that ssh_config includes or has the hosts of: with --inline there is only the known_hosts of one. */
export function partsOf(files: readonly string[]): ReadonlySet<string> {
  return new Set(files.map((file) => file.replace(OUR_FILE, '$1config')))
}
