/**
 * What a replayed program may not do to the terminal of who watches: sequences that a terminal answers, as if its user had
 * typed, and strings for the terminal itself (title, clipboard, downloads). All that draws passes.
 */
type State = 'text' | 'escape' | 'sequence' | 'string' | 'string-escape'

/** Of a sequence that ends in no time: what is longer is dropped. */
const MAX_SEQUENCE_CHARACTERS = 256
/** ESC and then: DCS, SOS, OSC, PM, APC (ECMA-48 §5.6). */
const STRINGS = 'PX]^_'
/** Device attributes, status and window reports; with a "$" or ">" also modes and versions. */
const ASKS = /^[?>=]?[\d;]*[cnt]$|^>[\d;]*q$|\$p$|^\?[\d;]*u$/

/** Returns what may be shown of each piece; a sequence may come in several. */
export function createTerminalFilter(): (text: string) => string {
  let state: State = 'text'
  let sequence = ''

  return (text) => {
    let shown = ''
    for (const character of text) {
      switch (state) {
        case 'text':
          if (character === '\x1b') state = 'escape'
          // C1 controls in one character: CSI and the strings are what their two-character forms are.
          else if (character === '\x9b') [state, sequence] = ['sequence', '']
          else if ('\x90\x98\x9d\x9e\x9f'.includes(character)) state = 'string'
          // ENQ asks for an answerback.
          else if (character !== '\x05') shown += character
          break
        case 'escape':
          if (character === '\x1b') break
          state = 'text'
          if (character === '[') [state, sequence] = ['sequence', '']
          else if (STRINGS.includes(character)) state = 'string'
          // DECID
          else if (character !== 'Z') shown += `\x1b${character}`
          break
        case 'sequence':
          if (character === '\x1b') {
            state = 'escape'
          } else if (character >= '@' && character <= '~') {
            state = 'text'
            const whole = sequence + character
            if (whole.length <= MAX_SEQUENCE_CHARACTERS && !ASKS.test(whole)) shown += `\x1b[${whole}`
          } else if (character < ' ') {
            // A control in a sequence acts at once.
            shown += character
          } else if (sequence.length <= MAX_SEQUENCE_CHARACTERS) sequence += character
          break
        case 'string':
          if (character === '\x07' || character === '\x9c' || character === '\x18' || character === '\x1a')
            state = 'text'
          else if (character === '\x1b') state = 'string-escape'
          break
        case 'string-escape':
          // ESC \ ends it; any other sequence does, too, and begins.
          if (character === '\\') state = 'text'
          else if (character === '[') [state, sequence] = ['sequence', '']
          else if (character !== '\x1b') state = STRINGS.includes(character) ? 'string' : 'text'
          break
      }
    }
    return shown
  }
}
