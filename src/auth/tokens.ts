/** TOKENS of sshd_config(5), and the check of values that strangers choose. */
import { HatchwayError } from '../base/errors.ts'

/** The value of each token; undefined if the value must not be used. */
export type Tokens = Readonly<Record<string, string | undefined>>

/**
 * Returns a name from the network if it may be part of an argument or a file name: it must not look like an option, and
 * a shell, a URL or a path must read it as nothing but a name. It may be empty.
 */
export function safeName(name: string): string | undefined {
  return /^(?:[A-Za-z0-9_][A-Za-z0-9_.@:=+-]{0,255})?$/.test(name) ? name : undefined
}

/** Returns undefined if a value must not be used. `template` was checked by checkTokens(). */
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
