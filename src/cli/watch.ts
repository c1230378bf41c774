/** `--watch`: what a command prints, anew every two seconds until its user ends it. */
import { setTimeout as later } from 'node:timers/promises'
import { printable } from '../base/printable.ts'
import { CliFailure } from '../control/cli-failure.ts'

const EVERY_MS = 2_000
const [HOME, REST_OF_LINE, REST_OF_SCREEN] = ['\u001b[H', '\u001b[K', '\u001b[J']

export interface Screen {
  readonly isTTY?: boolean
  readonly rows?: number
  write(text: string): unknown
}

/** @throws what the first round throws; later ones show it, as a gateway may be restarted meanwhile */
export async function watch(
  text: () => Promise<string>,
  screen: Screen,
  pause = () => later(EVERY_MS),
): Promise<never> {
  if (screen.isTTY) screen.write(`${HOME}${REST_OF_SCREEN}`)
  for (let shown = await text(); ; shown = await text().catch(sentence)) {
    screen.write(screen.isTTY ? page(shown, screen.rows) : shown)
    await pause()
  }
}

/** Written over the page before, so that nothing flickers; what the terminal has no rows for is left out. */
function page(text: string, rows = 0): string {
  const lines = text.trimEnd().split('\n')
  const fitting =
    rows === 0 || lines.length < rows ? lines : [...lines.slice(0, rows - 2), `... ${lines.length - rows + 2} more`]
  return `${HOME}${fitting.map((line) => `${line}${REST_OF_LINE}\n`).join('')}${REST_OF_SCREEN}`
}

function sentence(error: unknown): string {
  if (error instanceof CliFailure) return `hatchway: ${printable(error.message)}\n`
  throw error
}
