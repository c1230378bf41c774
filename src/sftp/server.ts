/**
 * The gateway's own SFTP server, for containers where none can run. To the session it is a program. It reads no request
 * before the answer to the last one was taken: the requests that a client has in flight wait at the client.
 */

import { Writable } from 'node:stream'
import { HatchwayError } from '../base/errors.ts'
import type { ExitStatus } from '../base/program.ts'
import type { Exec, OutputSink } from '../engine/engine.ts'
import { deferred } from '../lifetime/deferred.ts'
import type { Files } from './archive-files.ts'
import { MAX_PACKET, Requests } from './requests.ts'
import type { Space } from './spool.ts'
import { type SftpUser, Tree } from './tree.ts'
import { PACKET_TYPE } from './types.ts'
import { Fields, SftpError, STATUS, sftpPacket, u32, withLength } from './wire.ts'

export interface SftpSettings {
  readonly who: SftpUser
  /** Absolute; relative names begin here. */
  readonly directory: string
  readonly readOnly: boolean
  /** For the content of files under way. */
  readonly space: Space
}

/** The exit status of OpenSSH's sftp-server after a packet that it cannot parse. */
const BAD_PACKET = 11
/** How many sentences go to stderr, too: clients rarely show those of a STATUS. */
const MAX_WORDS = 10

export function serveSftp(files: Files, settings: SftpSettings, sink: OutputSink, close: () => void): Exec {
  const requests = new Requests(new Tree(files, settings.who, settings.readOnly), settings.directory, settings.space)
  let rest: Buffer = Buffer.alloc(0)
  let ended = false
  let greeted = false
  let resume = () => {}
  let said = 0
  let answering: Promise<unknown> = Promise.resolve()
  const exit = deferred<ExitStatus>()
  exit.promise.catch(() => undefined)

  async function finish(how: ExitStatus | HatchwayError): Promise<void> {
    if (ended) return
    ended = true
    resume()
    close()
    // A put that is cut off would leave the engine with a part of a file.
    await answering
    await requests.close()
    if (how instanceof HatchwayError) exit.reject(how)
    else exit.resolve(how)
  }

  async function send(bytes: Buffer): Promise<void> {
    if (ended || sink.write(1, bytes)) return
    await new Promise<void>((resolve) => {
      resume = resolve
    })
  }

  /** Handles every complete packet in `rest`. */
  async function work(): Promise<void> {
    while (!ended && rest.length >= 4) {
      const length = rest.readUInt32BE(0)
      if (length < 1 || length > MAX_PACKET) return finish({ code: BAD_PACKET })
      if (rest.length < 4 + length) return
      const body = rest.subarray(5, 4 + length)
      const type = rest[4] ?? 0
      rest = rest.subarray(4 + length)
      if (greeted !== (type !== PACKET_TYPE.INIT) || (greeted && body.length < 4)) return finish({ code: BAD_PACKET })
      if (greeted) {
        const answered = answer(type, body.subarray(0, 4), new Fields(body.subarray(4)))
        answering = answered.catch(() => undefined)
        await send(await answered)
      } else await send(requests.version())
      greeted = true
    }
  }

  async function answer(type: number, id: Buffer, fields: Fields): Promise<Buffer> {
    try {
      return (await requests.answer(type, id, fields)) ?? status(id, 'ok', 'Success')
    } catch (error) {
      if (error instanceof SftpError) {
        tell(error)
        return status(id, error.status, error.message)
      }
      // The gateway's own disk is full, or cannot be written.
      if (error instanceof Error && 'syscall' in error)
        return status(id, 'failure', `the gateway's disk: ${error.message}`)
      throw error
    }
  }

  function tell({ status: name, message }: SftpError): void {
    if ((name !== 'failure' && name !== 'unsupported') || said >= MAX_WORDS) return
    said += 1
    sink.write(2, Buffer.from(`hatchway: sftp: ${message}\n`))
  }

  const stdin = new Writable({
    highWaterMark: MAX_PACKET,
    write(chunk: Buffer, _encoding, done) {
      if (ended) return done()
      // The chunk is lent: it is copied also if `rest` is empty.
      rest = Buffer.concat([rest, chunk])
      work()
        .catch((error: unknown) => finish(asFailure(error)))
        .then(() => done(), done)
    },
    final(done) {
      finish({ code: 0 }).then(() => done(), done)
    },
  })
  stdin.on('error', () => {})

  return {
    stdin,
    exit: exit.promise,
    resume: () => resume(),
    resize() {},
    signal: () => false,
    close: () => void finish({ code: 255 }),
  }
}

function status(id: Buffer, name: keyof typeof STATUS, message: string): Buffer {
  return sftpPacket(PACKET_TYPE.STATUS, id, u32(STATUS[name]), withLength(message), withLength(''))
}

function asFailure(error: unknown): HatchwayError {
  return error instanceof HatchwayError ? error : new HatchwayError('INTERNAL', 'sftp failed', { cause: error })
}
