/** A command that did not do what was asked: one sentence for the person at the terminal, and the exit code. */
export class CliFailure extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode = 1, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'CliFailure'
    this.exitCode = exitCode
  }
}
