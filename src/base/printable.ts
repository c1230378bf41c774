/**
 * Text from containers and clients, made safe to show on a terminal: an escape sequence in a container's label must not
 * move the administrator's cursor, nor a mark of direction turn a name around.
 */

/** Of client text that is said in a log line, an event or a sentence. */
const MAX_CLIENT_TEXT = 200
/** DEL, C1, line and paragraph separators, marks and embeddings of direction: what JSON leaves as it is. */
const AS_IN_JSON = '\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069'
/** Of another program's words in a sentence. */
const MAX_LINE = 300
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must go
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]+/g
const UNPRINTABLE = new RegExp(`[\\u0000-\\u001f${AS_IN_JSON}]`, 'g')
const UNPRINTABLE_IN_JSON = new RegExp(`[${AS_IN_JSON}]`, 'g')

/** Each control character and mark becomes \xNN or \uNNNN. */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, escapeOf)
}

/** What a client said, as it goes into log lines and events: printable, and not longer than anybody reads. */
export function clientText(text: string): string {
  return printable(text.length > MAX_CLIENT_TEXT ? `${text.slice(0, MAX_CLIENT_TEXT)}...` : text)
}

/** Text of an engine or a helper, which quotes what a hostile image may have chosen: one line, printable and bounded. */
export function oneLine(text: string, limit = MAX_LINE): string {
  const flat = printable(text.replaceAll(CONTROLS, ' ').trim())
  return flat.length > limit ? `${flat.slice(0, limit)}...` : flat
}

/** JSON text that means the same and is printable; `write` returns what stands for a character. */
export function printableJson(json: string, write = (char: string) => `\\u${hex(char, 4)}`): string {
  return json.replaceAll(UNPRINTABLE_IN_JSON, write)
}

export function escapeOf(char: string): string {
  return char.charCodeAt(0) < 0x100 ? `\\x${hex(char, 2)}` : `\\u${hex(char, 4)}`
}

function hex(char: string, digits: number): string {
  return char.charCodeAt(0).toString(16).padStart(digits, '0')
}
