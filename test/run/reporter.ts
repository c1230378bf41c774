/**
 * What a run's last lines say beside vitest's: how long each project took, the ten slowest files, and each test that
 * passed only at its second try, with its first failure. More than MAX_SECOND_TRIES of those fail the run.
 */
import type { Reporter, TestCase, TestModule, TestRunEndReason } from 'vitest/node'
import { testFiles } from './kinds.ts'
import { referenceIsDue, referenceStamp, rememberReference } from './reference.ts'

/** Each is a fault of its test or of ours; these few are what a machine with two busy cores may cost. */
const MAX_SECOND_TRIES = 3
const SLOWEST = 10

export default class RunReporter implements Reporter {
  readonly #began = new Map<string, number>()
  readonly #ended = new Map<string, number>()
  readonly #reference = { stamp: referenceStamp(), isDue: referenceIsDue() }

  onTestModuleStart({ project }: TestModule): void {
    if (!this.#began.has(project.name)) this.#began.set(project.name, Date.now())
  }

  onTestModuleEnd({ project }: TestModule): void {
    this.#ended.set(project.name, Date.now())
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[], reason: TestRunEndReason): void {
    const lines: string[] = []
    const again = modules.flatMap((module) => [...module.children.allTests()]).filter(passedAtSecondTry)
    const isGood = reason === 'passed' && errors.length === 0 && again.length <= MAX_SECOND_TRIES
    if (!isWhole(modules)) lines.push('not the whole suite')
    else if (!this.#reference.isDue)
      lines.push('sshd, the reference, has passed with these tests before: not asked again')
    else if (isGood && askedReference(modules)) rememberReference(this.#reference.stamp)
    for (const [name, began] of this.#began) {
      lines.push(`project ${name}: ${seconds((this.#ended.get(name) ?? began) - began)}`)
    }
    lines.push('slowest files:')
    const byTime = modules.map((module) => ({ module, time: module.diagnostic().duration }))
    for (const { module, time } of byTime.sort((a, b) => b.time - a.time).slice(0, SLOWEST)) {
      lines.push(`  ${seconds(time)}  ${module.relativeModuleId}`)
    }
    for (const test of again) {
      lines.push(`second try: ${test.module.relativeModuleId} > ${test.fullName}`)
      lines.push(`  first failure: ${firstFailure(test)}`)
    }
    if (again.length > MAX_SECOND_TRIES) {
      lines.push(`${again.length} tests passed only at their second try, ${MAX_SECOND_TRIES} may: the run has failed`)
      process.exitCode = 1
    }
    process.stdout.write(`\n${lines.join('\n')}\n`)
  }
}

/** Every file of both projects, and no test of them left out by a pattern. */
function isWhole(modules: readonly TestModule[]): boolean {
  const ran = new Set(modules.map((module) => module.relativeModuleId))
  const { fast, engine } = testFiles()
  return [...fast, ...engine].every((file) => ran.has(file))
}

/** Chosen roads (HATCHWAY_E2E_ROADS, HATCHWAY_PARITY) may leave the reference out, a pattern of names most of it. */
function askedReference(modules: readonly TestModule[]): boolean {
  if (process.env.HATCHWAY_E2E_ROADS !== undefined || process.env.HATCHWAY_PARITY !== undefined) return false
  const parity = modules.find((module) => module.relativeModuleId === 'test/e2e/parity-sshd.test.ts')
  const tests = [...(parity?.children.allTests() ?? [])]
  return tests.length > 0 && tests.every((test) => test.result().state === 'passed')
}

function passedAtSecondTry(test: TestCase): boolean {
  return test.diagnostic()?.flaky === true
}

function firstFailure(test: TestCase): string {
  const [error] = test.result().errors ?? []
  return error?.message.split('\n', 4).join(' ') ?? 'unknown'
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`
}
