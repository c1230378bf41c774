/** One exchange of keyboard-interactive, RFC 4256: questions to the client, its answers to the asking method. */
import type { Dialogue, Questions } from './auth.ts'
import { readAnswers } from './auth-requests.ts'
import { Message, type PacketReader, packet } from './packets.ts'

export interface Proved<Identity> {
  readonly identity: Identity
  readonly device: string
}

export class Exchange<Identity> {
  readonly #dialogue: Dialogue<Proved<Identity>>
  readonly #send: (packet: Buffer) => void
  #expected: number | undefined
  #answers = 0

  /** `devices` are asked one after the other until one proves something: a client sees one exchange (auth2-chall.c). */
  constructor(
    devices: readonly string[],
    dialogue: (device: string) => Dialogue<Identity> | undefined,
    send: (packet: Buffer) => void,
  ) {
    this.#dialogue = inTurn(devices, dialogue)
    this.#send = send
  }

  /** The client has questions before it, and we wait. */
  get waiting(): boolean {
    return this.#expected !== undefined
  }

  get answered(): boolean {
    return this.#answers > 0
  }

  /** Resolves when questions were sent ('asked'), or with the end. */
  start(): Promise<Proved<Identity> | undefined | 'asked'> {
    return this.#turn(this.#dialogue.next([]))
  }

  /** Takes the packet apart at once. @throws MalformedPacket */
  answer(reader: PacketReader): () => Promise<Proved<Identity> | undefined | 'asked'> {
    const answers = readAnswers(reader, this.#expected ?? 0)
    this.#expected = undefined
    this.#answers++
    return () => this.#turn(answers ? this.#dialogue.next(answers) : this.#dialogue.return(undefined))
  }

  /** Idempotent. */
  end(): Promise<unknown> {
    this.#expected = undefined
    return this.#dialogue.return(undefined)
  }

  async #turn(
    next: Promise<IteratorResult<Questions, Proved<Identity> | undefined>>,
  ): Promise<Proved<Identity> | undefined | 'asked'> {
    const step = await next
    if (step.done) return step.value
    const { instruction = '', prompts } = step.value
    this.#expected = prompts.length
    const questions = prompts.flatMap(({ text, echo }) => [text, echo])
    this.#send(packet(Message.USERAUTH_INFO_REQUEST, '', instruction, '', prompts.length, ...questions))
    return 'asked'
  }
}

async function* inTurn<Identity>(
  devices: readonly string[],
  dialogue: (device: string) => Dialogue<Identity> | undefined,
): Dialogue<Proved<Identity>> {
  for (const device of devices) {
    const own = dialogue(device)
    const identity = own && (yield* own)
    if (identity !== undefined) return { identity, device }
  }
  return undefined
}
