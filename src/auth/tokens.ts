/** TOKENS of sshd_config(5), and where values that strangers choose may not go. */
import { HatchwayError } from '../base/errors.ts'

/** What a token stands for; undefined: a value that must not be put there. */
export type Tokens = Readonly<Record<string, string | undefined>>

/**
 * A name from the network that may stand in an argument or a file name: nothing that a shell, a URL or a path reads as
 * more than a name, and no option. Empty where none was given.
 */
export function safeName(name: string): string | undefined {
  return /^(?:[A-Za-z0-9_][A-Za-z0-9_.@:=+-]{0,255})?$/.test(name) ? name : undefined
}

/** Undefined when a value must not be put there. `template` was checked by checkTokens(). */
export function expand(template: string, tokens: Tokens): string | undefined {
  let refused = false
  const text = template.replaceAll(/%(.)/g, (_, token: string) => {
    const value = token === '%' ? '%' : tokens[token]
    refused ||= value === undefined
    return value ?? ''
  })
  return refused ? undefined : text
}

/** @throws HatchwayError CONFIG_INVALID on a token that means nothing there */
export function checkTokens(key: string, template: string, allowed: string): void {
  for (const [, token = ''] of template.matchAll(/%(.?)/g)) {
    if (token === '' || !`%${allowed}`.includes(token)) {
      const known = [...`${allowed}%`].map((each) => `%${each}`).join(' ')
      throw new HatchwayError('CONFIG_INVALID', `${key}: %${token} means nothing here (there are ${known})`)
    }
  }
}
