/** man(7): the few requests that our pages need. */

/** A term, and what it means below it. */
export function tagged([term, meaning]: readonly [string, string]): string[] {
  return ['.TP', `.B ${roffText(term)}`, roffText(meaning)]
}

/** Lines as they are typed. */
export function verbatim(lines: readonly string[]): string[] {
  return ['.PP', '.nf', '.RS 4', ...lines.map(roffText), '.RE', '.fi']
}

/** A leading dot or quote is a request to roff, a plain hyphen may become a dash. */
export function roffText(raw: string): string {
  return raw
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/gm, '\\&')
}
