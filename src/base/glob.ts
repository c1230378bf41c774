/**
 * Patterns with "*" and "?", matched in a bounded number of steps: the last star is the only one that is ever widened, so
 * no pattern makes a long text cost more than the product of both lengths (a regular expression may take for ever).
 */

/** What a wildcard may stand for; absent: any character. */
export type Wild = (code: number) => boolean

const STAR = 42
const QUESTION = 63

/** Does the whole text match? Case counts; fold both sides before where it does not. */
export function globMatches(pattern: string, text: string, wild?: Wild): boolean {
  let at = 0
  let next = 0
  let star = -1
  let afterStar = 0
  while (at < text.length) {
    const code = text.charCodeAt(at)
    const wanted = next < pattern.length ? pattern.charCodeAt(next) : -1
    if (wanted === STAR) {
      star = next++
      afterStar = at
    } else if (wanted === QUESTION ? !wild || wild(code) : wanted === code) {
      at++
      next++
    } else if (star >= 0 && (!wild || wild(text.charCodeAt(afterStar)))) {
      next = star + 1
      at = ++afterStar
    } else {
      return false
    }
  }
  while (pattern.charCodeAt(next) === STAR) next++
  return next === pattern.length
}

export function anyGlobMatches(patterns: readonly string[], text: string): boolean {
  return patterns.some((pattern) => globMatches(pattern, text))
}
