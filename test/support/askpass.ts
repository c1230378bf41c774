/** OpenSSH's client asks a program for what it would ask at a terminal: answers in a row, and what was asked. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Askpass {
  /** For ssh, which then asks nobody else. */
  env(...answers: readonly string[]): Record<string, string>
  /** The prompts since the last env(). */
  asked(): string[]
  close(): void
}

/** Every answer is given once; when there are none left it fails, as a person who presses Ctrl-C. */
export function createAskpass(): Askpass {
  const directory = mkdtempSync(join(tmpdir(), 'hw-test-askpass-'))
  const [program, answersFile, askedFile] = ['askpass', 'answers', 'asked'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(
    program,
    `#!/bin/sh
printf '%s\\n' "$1" >>${askedFile}
[ -s ${answersFile} ] || exit 1
head -n 1 ${answersFile}
sed -i 1d ${answersFile}
`,
  )
  chmodSync(program, 0o755)
  return {
    env(...answers) {
      writeFileSync(askedFile, '')
      writeFileSync(answersFile, answers.map((answer) => `${answer}\n`).join(''))
      return { SSH_ASKPASS: program, SSH_ASKPASS_REQUIRE: 'force' }
    },
    // The client writes "(USER@HOST) PROMPT" since 8.4.
    asked: () => readFileSync(askedFile, 'utf8').split('\n').filter(Boolean),
    close: () => rmSync(directory, { recursive: true, force: true }),
  }
}
