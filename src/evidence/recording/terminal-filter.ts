/**
 * What a replayed program may do to the terminal of who watches: draw. A list of what draws, as of the rest some terminal answers, as
 * if its user had typed, or does what its user did not ask for (title, clipboard, printer, locked keys). What passes is whole and plain
 * ASCII, so that no terminal reads it in another way than it is read here.
 */
type State = 'text' | 'escape' | 'designation' | 'sequence' | 'string' | 'string-escape'

/** Of a sequence that ends in no time: what is longer is dropped. */
const MAX_SEQUENCE_CHARACTERS = 256
/** ESC and then: DCS, SOS, OSC, PM, APC (ECMA-48 §5.6). */
const STRINGS = 'PX]^_'
/** The same and CSI in one character (C1), which some terminals read in UTF-8, too. */
const STRINGS_C1 = '\x90\x98\x9d\x9e\x9f'
const CSI_C1 = '\x9b'
/** ESC and then: save and restore the cursor, keypad, lines, tabs, reset, shifts. */
const ESCAPES = '78=>DEHMcno|}~NO'
/** ESC, one of these and one more: sets of characters, and a screen of E. Not "%", after which bytes are other characters. */
const DESIGNATIONS = '()*+-./#'
/** BEL, BS, HT, LF, VT, FF, CR, SO, SI. Not ENQ, which asks for an answerback. */
const CONTROLS = '\x07\b\t\n\v\f\r\x0e\x0f'
/** Moves, erases, inserts, deletes, scrolls, colours, tabs; the shape of the cursor; a soft reset. */
const DRAWS = /^(?:[\d;:]*[@A-HIJKLMPSTXZ`abdefgmrsu]|\?[\d;]*[JK]|\d* q|!p)$/
const MODES = /^(\??)([\d;]*)([hl])$/
/** Insert, newline. */
const PLAIN_MODES: ReadonlySet<string> = new Set(['4', '20'])
/** Columns, scrolling, colours, wrap and the cursor's look; margins; the second screen; whole pictures. No keys, no mouse, no reports. */
const PRIVATE_MODES: ReadonlySet<string> = new Set('3 4 5 6 7 12 25 40 45 47 69 1047 1048 1049 2026 2027'.split(' '))

/** Returns what may be shown of each piece; a sequence may come in several. */
export function createTerminalFilter(): (text: string) => string {
  let state: State = 'text'
  let sequence = ''

  /** Outside of all sequences. */
  function plain(character: string): string {
    state = 'text'
    if (character === '\x1b') state = 'escape'
    else if (character === CSI_C1) [state, sequence] = ['sequence', '']
    else if (STRINGS_C1.includes(character)) state = 'string'
    else if (isShown(character)) return character
    return ''
  }

  return (text) => {
    let shown = ''
    for (const character of text) {
      switch (state) {
        case 'text':
          shown += plain(character)
          break
        case 'escape':
          if (character === '[') [state, sequence] = ['sequence', '']
          else if (STRINGS.includes(character)) state = 'string'
          else if (DESIGNATIONS.includes(character)) [state, sequence] = ['designation', character]
          else if (ESCAPES.includes(character)) {
            state = 'text'
            shown += `\x1b${character}`
          } else if (character < ' ' || character > '~') shown += plain(character)
          else state = 'text'
          break
        case 'designation':
          if (character < ' ' || character > '~') shown += plain(character)
          else {
            state = 'text'
            if (character >= '0') shown += `\x1b${sequence}${character}`
          }
          break
        case 'sequence':
          if (character >= '@' && character <= '~') {
            state = 'text'
            if (sequence.length <= MAX_SEQUENCE_CHARACTERS) shown += drawing(sequence + character)
          } else if (character >= ' ' && character <= '?') {
            if (sequence.length <= MAX_SEQUENCE_CHARACTERS) sequence += character
          } else if (character === '\x18' || character === '\x1a') state = 'text'
          // A control in a sequence acts at once.
          else if (CONTROLS.includes(character)) shown += character
          // Anything else ends it: what terminals make of that differs.
          else if (character > '\x7f' || character === '\x1b') shown += plain(character)
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

function isShown(character: string): boolean {
  if (character < ' ') return CONTROLS.includes(character)
  return character < '\x7f' || character > '\x9f'
}

/** A sequence behind its CSI, as much of it as draws. */
function drawing(sequence: string): string {
  if (DRAWS.test(sequence)) return `\x1b[${sequence}`
  const [, mark, numbers = '', end] = MODES.exec(sequence) ?? []
  const known = numbers.split(';').filter((number) => (mark === '?' ? PRIVATE_MODES : PLAIN_MODES).has(number))
  return known.length > 0 ? `\x1b[${mark}${known.join(';')}${end}` : ''
}
