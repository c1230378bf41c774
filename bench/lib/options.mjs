// The command line of the bench.
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

const HELP = `npm run bench -- [options]          (needs npm run build, dockerd, root, scripts/images.sh)

  --rounds N       runs of every target for every figure (20)
  --only a,b       these rows: ROWS
  --targets a,b    these targets: TARGETS
  --mb N           bytes of a bulk run, in MB (256)
  --file-mb N      the large file of sftp, in MB (200)
  --idle N         idle sessions whose memory is measured (50)
  --quick          2 rounds and small sizes: does the bench itself work?
  --row-seconds N  a row that takes longer has fewer rounds (240)
  --minutes N      the whole run ends after that (60)
  --main FILE      the gateway (dist/main.js)
  --profile DIR    a CPU profile of every gateway, for speedscope or Chrome
  --json FILE      all samples
`

/** The options, or undefined when they were only asked for. */
export function readOptions(rowKeys, targetKeys) {
  const text = { type: 'string' }
  const { values } = parseArgs({
    options: {
      ...{ rounds: text, only: text, targets: text, mb: text, 'file-mb': text, idle: text, 'row-seconds': text },
      ...{ minutes: text, main: text, profile: text, json: text },
      ...{ quick: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    },
  })
  if (values.help) {
    console.log(HELP.replace('ROWS', rowKeys.join(',')).replace('TARGETS', targetKeys.join(',')))
    return undefined
  }
  const quick = values.quick === true
  return {
    rounds: count(values.rounds, quick ? 2 : 20, '--rounds'),
    only: chosen(values.only, rowKeys, '--only'),
    targets: chosen(values.targets, targetKeys, '--targets'),
    megabytes: count(values.mb, quick ? 32 : 256, '--mb'),
    fileMegabytes: count(values['file-mb'], quick ? 20 : 200, '--file-mb'),
    idle: count(values.idle, quick ? 5 : 50, '--idle'),
    /** Of the counts that are part of a figure's name. */
    scale: quick ? 0.05 : 1,
    rowSeconds: count(values['row-seconds'], 240, '--row-seconds'),
    minutes: count(values.minutes, 60, '--minutes'),
    main: resolve(values.main ?? resolve(import.meta.dirname, '../../dist/main.js')),
    profile: values.profile && resolve(values.profile),
    json: values.json,
  }
}

function count(value, otherwise, name) {
  if (value === undefined) return otherwise
  const parsed = Number(value)
  if (!Number.isInteger(parsed) || parsed < 1) throw new Error(`${name}: not a count: ${value}`)
  return parsed
}

function chosen(value, keys, name) {
  if (value === undefined) return keys
  const wanted = value.split(',')
  const unknown = wanted.find((key) => !keys.includes(key))
  if (unknown !== undefined) throw new Error(`${name}: no ${unknown}; there are ${keys.join(', ')}`)
  return keys.filter((key) => wanted.includes(key))
}
