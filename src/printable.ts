/**
 * Text from containers and clients, made safe to show on a terminal: an escape sequence in a container's label must not
 * move the administrator's cursor. Control characters (C0, DEL, C1) and line and paragraph separators become \xNN, \uNNNN.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is what this is for
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (char) => {
    const code = char.charCodeAt(0)
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`
  })
}
