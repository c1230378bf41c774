/** `audit` of the configuration: the trail of who got in, where, as whom, and what they did (docs/audit.md). */
import { z } from 'zod'
import { parsed } from './parsed.ts'
import { fileName, text, textOrNumber } from './primitives.ts'
import { parseDuration, parseSize } from './values.ts'

/** A smaller one is a file for each few seconds of a busy gateway. */
const MIN_FILE_BYTES = 1024 * 1024
const MIN_FILE_AGE_MS = 60_000
const MIN_HEAD_MS = 1_000

const fileSize = parsed(
  textOrNumber,
  (value) => (value === 'none' ? 0 : atLeast(MIN_FILE_BYTES, parseSize(String(value)))),
  'bytes such as 100M, at least 1M, or none',
)
const fileAge = parsed(
  textOrNumber,
  (value) => (value === 'none' ? 0 : atLeast(MIN_FILE_AGE_MS, parseDuration(value))),
  'a time such as 12h or 1d, at least 1m, or none',
)
const headPause = parsed(
  textOrNumber,
  (value) => atLeast(MIN_HEAD_MS, parseDuration(value)),
  'a time such as 1m, at least 1s',
)

function atLeast(least: number, value: number | undefined): number | undefined {
  return value !== undefined && value >= least ? value : undefined
}

export const audit = z.strictObject({
  file: fileName.optional().meta({
    description:
      'A file of JSON lines, one for each thing that was done or refused, chained by hashes. Default: there is no trail. Gateways of one machine that share it write a trail each, FILE, FILE-2 ...',
    examples: ['/var/log/hatchway/audit.jsonl'],
  }),
  format: z
    .enum(['hatchway', 'ecs', 'ocsf'])
    .default('hatchway')
    .describe(
      'How a record stands in its line: alone, or as Elastic Common Schema or Open Cybersecurity Schema Framework has it, with the record itself beside.',
    ),
  rotateSize: fileSize
    .prefault('100M')
    .describe('From this size on the file becomes FILE.000001 and so on, and a new one begins; none: at no size.'),
  rotateEvery: fileAge.prefault('1d').describe('The same for its age; none: at no age. Nothing is ever removed.'),
  headEvery: headPause
    .prefault('1m')
    .describe(
      'How often the end of the chain is signed, while there is something new; also at each rotation and at the end.',
    ),
  fsync: z
    .enum(['batch', 'head', 'never'])
    .default('head')
    .describe(
      'When the disk is waited for. batch: behind each write, ten a second at most while little happens. head: behind each signed head. A power failure can take what came later.',
    ),
  hashes: z
    .boolean()
    .default(true)
    .describe(
      'SHA-256 of what sftp and scp carry, both ways, as long as it comes in order. A large file takes a tenth longer.',
    ),
  anchorFile: fileName.optional().meta({
    description:
      'Where each signed head goes besides, since what was cut off the end of the trail is only found by a head elsewhere: a file, as on a mount that this machine can only append to.',
    examples: ['/mnt/evidence/hatchway.heads'],
  }),
  anchorCommand: z
    .array(text)
    .min(1)
    .optional()
    .meta({
      description:
        'The same, to a program that reads each head on stdin, as a line of JSON. It has half a minute; one that is slow gets the latest head next.',
      examples: [['/usr/local/bin/keep-head']],
    }),
  onFailure: z
    .enum(['continue', 'refuse'])
    .default('continue')
    .describe(
      'While the trail cannot be written. continue: everything goes on, and what finds no room in memory is lost, and counted. refuse: nothing new is entered (AUDIT_UNAVAILABLE).',
    ),
  endRunning: z
    .boolean()
    .default(false)
    .describe(
      'With refuse: what runs then is ended, too. Otherwise it goes on, and is recorded for as long as memory has room.',
    ),
  breakGlass: z
    .array(text)
    .default([])
    .meta({
      description:
        'Names of identities who are let in all the same, as whoever is to make room. What they do is kept in a reserve of memory, and recorded when there is room again.',
      examples: [['ops']],
    }),
})
