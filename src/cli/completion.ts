/** Completion in a shell: of commands and options by @bomb.sh/tab, and of their values, which are asked for when they are needed. */
import tab from '@bomb.sh/tab'
import completion from '@bomb.sh/tab/commander'
import type { Command } from 'commander'
import { print } from './commands/options.ts'
import { type CompletionSource, type Suggestion, valuesOf } from './completion-values.ts'

/** By the names of arguments and options, whichever command has them. */
const ARGUMENTS: Readonly<Record<string, CompletionSource>> = {
  container: 'containers',
  'user@container': 'logins',
  who: 'people',
  name: 'people',
  id: 'sessions',
  action: 'actions',
}
const OPTIONS: Readonly<Record<string, CompletionSource>> = {
  engine: 'engines',
  guest: 'guests',
  'log-level': 'levels',
  container: 'containers',
  identity: 'people',
  who: 'people',
  outcome: 'outcomes',
  group: 'groups',
}
/** What can be ended is what is there: this command needs no engine, and knows whom no configuration names. */
const KILL_OPTIONS: Readonly<Record<string, CompletionSource>> = {
  connection: 'connections',
  identity: 'connected-people',
  container: 'connected-containers',
}

export function addCompletion(program: Command): void {
  const tree = completion(program, { completionCommandName: 'completion' })
  const named = (name: string) => program.commands.find((command) => command.name() === name)
  named('completion')?.action((shell: string) =>
    shell === 'bash' ? print(BASH) : tab.setup('hatchway', 'hatchway', shell),
  )
  named('complete')?.action(async (words: string[]) => {
    const { typed, cut } = joinedWords(words)
    const wanted = new Set<CompletionSource>()
    const values = new Map<CompletionSource, readonly Suggestion[]>()
    const offer = (source: CompletionSource) => (complete: (value: string, description: string) => void) => {
      wanted.add(source)
      for (const { value, description = '' } of values.get(source) ?? []) complete(value, description)
    }
    for (const [path, command] of tree.commands) {
      for (const [name, argument] of command.arguments) {
        const source = ARGUMENTS[name]
        if (source) argument.handler = offer(source)
      }
      for (const [name, option] of command.options) {
        const source = path === 'kill' ? (KILL_OPTIONS[name] ?? OPTIONS[name]) : OPTIONS[name]
        if (source) option.handler = offer(source)
      }
    }
    // Once to learn what is asked for here, and once more with it.
    const first = printed(() => tree.parse([...typed]))
    for (const source of wanted) values.set(source, await valuesOf(source, typed))
    const lines = wanted.size === 0 ? first : printed(() => tree.parse([...typed]))
    print(lines.map((line) => `${line.startsWith(cut) ? line.slice(cut.length) : line}\n`).join(''))
  })
}

/**
 * Bash takes "dev@we" and "--engine=do" apart at these signs, and replaces the last part only. Returns the words as they were
 * typed, and what of the last one bash keeps.
 */
export function joinedWords(words: readonly string[]): { readonly typed: readonly string[]; readonly cut: string } {
  const typed: string[] = []
  let cut = ''
  for (const [at, word] of words.entries()) {
    const before = words[at - 1]
    cut = ''
    if (word === '=' && typed.at(-1)?.startsWith('--')) {
      if (at === words.length - 1) typed.push('')
    } else if ((word === '@' && typed.length > 0) || (before === '@' && typed.length > 0)) {
      const whole = `${typed.pop() ?? ''}${word}`
      typed.push(whole)
      cut = whole.slice(0, whole.lastIndexOf('@') + 1)
    } else typed.push(word)
  }
  return { typed, cut }
}

/** The library prints by console.log. */
function printed(work: () => void): string[] {
  const lines: string[] = []
  const { log } = console
  console.log = (line: string) => void lines.push(line)
  try {
    work()
  } finally {
    console.log = log
  }
  return lines
}

/** In place of the library's, which cannot be sourced twice (readonly), and evaluates what was typed. */
const BASH = `# bash completion for hatchway
__hatchway_complete() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :*) ;;
      *) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <("\${COMP_WORDS[0]}" complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F __hatchway_complete hatchway
`
