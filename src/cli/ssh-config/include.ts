/** Adds our one line to the text of a user's own ssh_config, and removes it again. */

const COMMENT = '# Containers: `hatchway config-ssh --uninstall` takes this out'

/** At the top: an Include further down would belong to the Host before it. */
export function withInclude(text: string, file: string): string {
  return hasInclude(text, file) ? text : `${COMMENT}\n${includeLine(file)}\n${text === '' ? '' : '\n'}${text}`
}

export function hasInclude(text: string, file: string): boolean {
  const line = includeLine(file)
  return text.split('\n').some((existing) => existing.trim() === line)
}

/** Returns the text before withInclude(), to the byte; a line that was moved is found, too. */
export function withoutInclude(text: string, file: string): string {
  const block = `${COMMENT}\n${includeLine(file)}\n`
  if (text.startsWith(block)) return text.slice(block.length).replace(/^\n/, '')
  const lines = text.split('\n').filter((line) => line !== COMMENT && line.trim() !== includeLine(file))
  return lines.join('\n')
}

export function includeLine(file: string): string {
  return `Include "${file}"`
}
