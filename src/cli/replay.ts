/** `hatchway replay ID`: plays a record on a terminal, or prints it for other players. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { isErrno, messageOf } from '../base/errors.ts'
import type { Config } from '../config/schema.ts'
import { parseDuration } from '../config/values.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { castV2 } from '../evidence/recording/cast-export.ts'
import { CAST, EVENTS } from '../evidence/recording/manifest.ts'
import { readCast, recordLines, streamBytes } from '../evidence/recording/read-stream.ts'
import { recordOf } from './records.ts'
import { createPlayer } from './replay-player.ts'

export interface ReplayFlags {
  readonly speed: string
  readonly idleLimit?: string
  readonly from?: string
  readonly cast: boolean
  readonly castV2: boolean
  /** The exact bytes of one stream. */
  readonly bytes?: string
}

const STREAMS = { output: 'o', stderr: 'e', input: 'i' } as const

export async function replay(
  config: Config,
  ref: string,
  flags: ReplayFlags,
  input: NodeJS.ReadStream,
  output: Writable,
) {
  const { folder, id } = await recordOf(config, ref)
  const file = join(folder, CAST)
  try {
    if (flags.cast) return await pour(lines(file), output)
    if (flags.castV2) return await pour(castV2(await readCast(file)), output)
    if (flags.bytes !== undefined) return await pour(await exact(file, flags.bytes), output)
    await play(file, flags, input, output)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) throw new CliFailure(nothingToPlay(folder, id))
    if (error instanceof CliFailure) throw error
    throw new CliFailure(`record ${id} cannot be read: ${messageOf(error)}`)
  }
}

/** What sftp did is in lines that everybody can read. */
function nothingToPlay(folder: string, id: string): string {
  const events = join(folder, EVENTS)
  return existsSync(events)
    ? `record ${id} has nothing to replay, but files or forwards: zcat ${events}`
    : `record ${id} has nothing to replay`
}

async function play(file: string, flags: ReplayFlags, input: NodeJS.ReadStream, output: Writable): Promise<void> {
  const speed = Number(flags.speed)
  if (!(speed > 0)) throw new CliFailure('--speed: expected a number such as 2 or 0.5', 2)
  const hasKeys = input.isTTY && 'isTTY' in output && output.isTTY === true
  const player = createPlayer({
    open: () => readCast(file),
    output,
    speed,
    idleLimit: seconds('--idle-limit', flags.idleLimit) ?? Number.POSITIVE_INFINITY,
    from: seconds('--from', flags.from) ?? 0,
    inTime: 'isTTY' in output && output.isTTY === true,
  })
  if (!hasKeys) return player.play()
  const typed = (bytes: Buffer) => player.key(bytes.toString())
  input.setRawMode(true)
  input.on('data', typed)
  try {
    await player.play()
  } finally {
    input.off('data', typed)
    input.setRawMode(false)
    input.pause()
  }
}

function seconds(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const ms = parseDuration(text)
  if (ms === undefined) throw new CliFailure(`${option}: expected a time such as 2s or 5m`, 2)
  return ms / 1000
}

async function* lines(file: string): AsyncGenerator<string> {
  for await (const line of recordLines(file)) yield `${line}\n`
}

async function exact(file: string, stream: string): Promise<AsyncGenerator<Buffer>> {
  const code = Object.entries(STREAMS).find(([name]) => name === stream)?.[1]
  if (!code) throw new CliFailure(`--bytes: expected one of ${Object.keys(STREAMS).join(', ')}`, 2)
  return streamBytes((await readCast(file)).events, code)
}

async function pour(pieces: AsyncIterable<string | Buffer>, output: Writable): Promise<void> {
  for await (const piece of pieces) if (!output.write(piece)) await once(output, 'drain')
}
