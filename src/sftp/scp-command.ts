/** `scp -t` and `scp -f`, the two ends that `scp -O` and scp before OpenSSH 9 start at the other side. */
export interface ScpCommand {
  /** in: files come in (-t); out: files leave (-f). */
  readonly direction: 'in' | 'out'
  /** What it was given, as the client wrote it. */
  readonly given: string
}

const MAX_GIVEN_CHARACTERS = 4096
/** Options first, as the client's own scp sends them: "scp -r -p -t -- /srv". */
const SCP = /^\s*(?:\/[\w./-]*\/)?scp((?:\s+-[A-Za-z]+)+)(?:\s+--)?\s+(\S.*)$/s

/** Undefined: it is another command, or hides what it is from us in its shell's words. */
export function scpCommand(command: string): ScpCommand | undefined {
  const [, options = '', given = ''] = SCP.exec(command) ?? []
  const flags = options.replaceAll(/[\s-]/g, '')
  const isTo = flags.includes('t')
  if (isTo === flags.includes('f')) return undefined
  // Not by the expression: it would look for the end of the spaces from each of them.
  return { direction: isTo ? 'in' : 'out', given: given.trimEnd().slice(0, MAX_GIVEN_CHARACTERS) }
}
