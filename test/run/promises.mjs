/**
 * node test/run/promises.mjs REVISION
 *
 * Compares the names of all tests, which are the promises of the project, with those at an older revision: prints what was
 * there and is not (`-`) and what is new (`+`). Names that moved to another file are the same promise. A name that several
 * files have is counted. Takes about a minute, as vitest loads every test file twice; nothing is run.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const top = join(import.meta.dirname, '../..')
const [revision] = process.argv.slice(2)
if (revision === undefined) {
  process.stderr.write('usage: node test/run/promises.mjs REVISION\n')
  process.exit(2)
}

const work = mkdtempSync(join(tmpdir(), 'hw-promises-'))
const before = join(work, 'before')
try {
  execFileSync('git', ['-C', top, 'worktree', 'add', '--quiet', '--detach', before, revision], { stdio: 'inherit' })
  symlinkSync(join(top, 'node_modules'), join(before, 'node_modules'))
  const [old, now] = [names(before), names(top)]
  const missing = more(old, now)
  for (const name of missing) process.stdout.write(`- ${name}\n`)
  for (const name of more(now, old)) process.stdout.write(`+ ${name}\n`)
  process.stdout.write(`${total(old)} before, ${total(now)} now, ${missing.length} names are gone\n`)
} finally {
  if (existsSync(before)) execFileSync('git', ['-C', top, 'worktree', 'remove', '--force', before])
  rmSync(work, { recursive: true, force: true })
}

/** @returns {Map<string, number>} how many tests have each name */
function names(folder) {
  const file = join(work, 'list.json')
  execFileSync(process.execPath, [join(top, 'node_modules/vitest/vitest.mjs'), 'list', `--json=${file}`], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const counts = new Map()
  for (const { name } of JSON.parse(readFileSync(file, 'utf8'))) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

/** The names of `one` that `other` has fewer of. */
function more(one, other) {
  return [...one].filter(([name, count]) => count > (other.get(name) ?? 0)).map(([name]) => name)
}

function total(counts) {
  return [...counts.values()].reduce((sum, count) => sum + count, 0)
}
