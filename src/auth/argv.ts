/** Splits a command line of the configuration, as sshd splits AuthorizedKeysCommand (misc.c, argv_split). */

/** A backslash escapes quotes, itself and, outside of quotes, a blank. Returns undefined if a quote stays open. */
export function splitArguments(line: string): string[] | undefined {
  const found: string[] = []
  let at = 0
  for (;;) {
    while (line[at] === ' ' || line[at] === '\t') at++
    if (at >= line.length) return found
    let [word, quote] = ['', '']
    for (; at < line.length; at++) {
      const char = line[at] ?? ''
      const next = line[at + 1] ?? ''
      if (char === '\\' && (next === '"' || next === "'" || next === '\\' || (quote === '' && next === ' '))) {
        word += next
        at++
      } else if (quote === '' && (char === ' ' || char === '\t')) break
      else if (quote === '' && (char === '"' || char === "'")) quote = char
      else if (quote !== '' && char === quote) quote = ''
      else word += char
    }
    if (quote !== '') return undefined
    found.push(word)
  }
}
