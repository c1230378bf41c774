/**
 * An auditor's script, with nothing of Hatchway's: what the files of a trail answer, and whether they are whole, by node's own
 * SHA-256 and ssh-keygen. It knows of the formats what docs/audit.md and docs/recording.md say.
 *
 *   node auditor.mjs TRAIL --container NAME --day YYYY-MM-DD --signers ALLOWED_SIGNERS [--heads FILE] [--records FOLDER]
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'

const OPTIONS = ['container', 'day', 'signers', 'heads', 'records']
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: Object.fromEntries(OPTIONS.map((name) => [name, { type: 'string' }])),
})
const [trail = ''] = positionals
const { container, day, signers, heads, records: recordings } = values

/** Oldest first: FILE.000001 ..., FILE. */
function lines() {
  const names = readdirSync(dirname(trail)).filter((name) => /^\.\d{6}$/.test(name.slice(basename(trail).length)))
  const rotated = names.filter((name) => name.startsWith(basename(trail))).sort()
  const files = [...rotated.map((name) => join(dirname(trail), name)), trail]
  return files.flatMap((file) => readFileSync(file, 'utf8').split('\n').slice(0, -1))
}

/** Alone in its line, or in that of another schema. */
function recordOf(line) {
  const whole = JSON.parse(line)
  return whole.hatchway ?? whole.unmapped ?? whole
}

const scratch = mkdtempSync(join(tmpdir(), 'hw-auditor-'))
process.once('exit', () => rmSync(scratch, { recursive: true, force: true }))

function isSigned(namespace, content, signature) {
  const file = join(scratch, 'signature')
  writeFileSync(file, signature)
  const args = ['-Y', 'verify', '-f', signers, '-I', namespace, '-n', namespace, '-s', file]
  return spawnSync('ssh-keygen', args, { input: content }).status === 0
}

/** What a head says, if one of the signers signed it. */
function signed({ head, signature }) {
  return isSigned('hatchway-audit', head, signature) ? JSON.parse(head) : undefined
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

/** What is wrong, in words. */
function problems(all) {
  const found = []
  const hashes = new Map()
  let previous = { seq: 0, sha256: '0'.repeat(64) }
  let newest
  for (const line of all) {
    let record
    try {
      record = recordOf(line)
    } catch {
      found.push(`behind record ${previous.seq} stands what is no record`)
      continue
    }
    if (record.seq !== previous.seq + 1) found.push(`record ${record.seq} follows record ${previous.seq}`)
    else if (record.prev !== previous.sha256) found.push(`record ${previous.seq} or ${record.seq} was changed`)
    previous = { seq: record.seq, sha256: sha256(line) }
    hashes.set(record.seq, previous.sha256)
    if (record.action === 'head') newest = record
  }
  // One head says of everything before it; the elder ones are as good as it is.
  const kept =
    heads === undefined
      ? []
      : readFileSync(heads, 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line))
  for (const head of [...(newest ? [newest] : []), ...kept]) {
    const said = signed(head)
    if (!said) found.push('a head is not signed by a key that may sign')
    else if (!hashes.has(said.seq)) found.push(`record ${said.seq}, which a head has seen, is gone`)
    else if (hashes.get(said.seq) !== said.sha256) found.push(`record ${said.seq} is not what a head has seen`)
  }
  return found
}

function answers(all) {
  const records = all.flatMap((line) => {
    try {
      return [recordOf(line)]
    } catch {
      return []
    }
  })
  const there = records.filter((record) => record.container?.name === container && record.at.startsWith(day))
  const of = (...actions) => there.filter(({ action, outcome }) => actions.includes(action) && outcome === 'ok')
  const files = of('file').filter(({ operation }) => ['close', 'upload', 'download'].includes(operation))
  const moved = (bytes, sha256) =>
    files
      .filter((record) => record[bytes] > 0)
      .map((record) => ({
        path: record.given ?? record.path,
        bytes: record[bytes],
        sha256: record[sha256] ?? 'partial',
      }))
  return {
    who: [...new Set(of('session-start', 'forward-start', 'jump').map(({ identity }) => identity))],
    as: [...new Set(of('session-start').map(({ user }) => user))],
    commands: of('session-start').flatMap(({ command }) => command ?? []),
    left: moved('bytesRead', 'sha256Read'),
    came: moved('bytesWritten', 'sha256Written'),
    ports: of('forward-start').map(({ place }) => place),
    refused: there
      .filter(({ action }) => action === 'policy')
      .map(({ asked, host, port, rule }) => ({ asked, host, port, rule })),
  }
}

/** What they typed and saw, and what is wrong with it. */
function shown() {
  const wrong = []
  const screens = (recordings === undefined ? [] : readdirSync(recordings)).sort().flatMap((id) => {
    const at = (name) => join(recordings, id, name)
    const content = readFileSync(at('manifest.json'))
    const manifest = JSON.parse(content)
    if (!isSigned('hatchway-recording', content, readFileSync(at('manifest.json.sig'))))
      wrong.push(`manifest ${id} is not signed by a key that may sign`)
    if (manifest.id !== id) wrong.push(`record ${id} is that of another`)
    for (const { name, sha256: told } of manifest.streams)
      if (sha256(readFileSync(at(name))) !== told) wrong.push(`${name} of record ${id} is not what was signed`)
    const isOther = manifest.container.name !== container || !manifest.startedAt.startsWith(day)
    // What a command showed is recorded only where that is asked for.
    if (wrong.length > 0 || isOther || manifest.streams.every(({ name }) => name !== 'session.cast.gz')) return []
    const [, ...cast] = gunzipSync(readFileSync(at('session.cast.gz')))
      .toString()
      .trim()
      .split('\n')
    const output = cast.map((line) => JSON.parse(line)).filter(([, code]) => code === 'o')
    return { who: manifest.identity.name, session: manifest.session, saw: output.map(([, , text]) => text).join('') }
  })
  return { wrong, screens }
}

const all = lines()
const { wrong: changed, screens } = shown()
const wrong = [...problems(all), ...changed]
console.log(JSON.stringify({ problems: wrong, ...answers(all), screens }, null, 2))
process.exitCode = wrong.length === 0 ? 0 : 1
