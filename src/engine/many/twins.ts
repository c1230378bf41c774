/**
 * Entries of the configuration that are one daemon. What daemons say of themselves decides nothing: machines that are copies
 * of each other have daemons of one id, and an engine may claim another one's id and containers. So a mark of a random name is
 * put by one entry and looked for by the other: an engine that cannot look into that one does not know the name.
 */
import { randomBytes } from 'node:crypto'
import { withDeadline } from '../../lifetime/deadline.ts'
import type { Engine } from '../engine.ts'
import { engineLimit } from '../messages.ts'
import type { Part } from './part.ts'

/** Those who ask first wait for it. */
const PROOF_MS = 2_000

export interface Twins {
  /**
   * Is it proved that the two are one daemon? Looks for a proof where there may be one, and tells when it has it.
   * @param haveOneSame may they be one by what they have?
   */
  areOne(one: Part, other: Part, haveOneSame: () => boolean): boolean
  /** Resolves once nothing is being looked for. Never rejects. */
  settled(): Promise<void>
}

interface Proof {
  /** Which runs of the two daemons it is about: each may come back as another. */
  readonly runs: string
  /** As of which of their lists it failed: there is another try with the next ones. */
  lists?: string
  isOne: boolean
}

/**
 * @param proved is told after each proof, whatever it showed
 * @param failed is told why it cannot be known
 */
export function createTwins(
  closed: AbortSignal,
  proved: (one: Part, other: Part) => void,
  failed: (one: Part, other: Part, error: unknown) => void,
): Twins {
  const proofs = new Map<string, Proof>()
  const looking = new Set<Promise<void>>()

  async function look(one: Part, other: Part, proof: Proof, lists: string): Promise<void> {
    try {
      proof.isOne = await haveOneMark(one.engine, other.engine, closed)
    } catch (error) {
      if (closed.aborted) return
      proof.isOne = false
      proof.lists = lists
      failed(one, other, error)
    }
    proved(one, other)
  }

  return {
    areOne(one, other, haveOneSame) {
      const pair = `${one.engine.name} ${other.engine.name}`
      const before = proofs.get(pair)
      if (one.daemonId === undefined || one.daemonId !== other.daemonId) {
        proofs.delete(pair)
        return false
      }
      const runs = `${one.runs} ${other.runs}`
      const lists = `${one.lists} ${other.lists}`
      if (before?.runs === runs && (before.lists === undefined || before.lists === lists)) return before.isOne
      // What was one is taken for one until the next proof says otherwise.
      if (!before?.isOne && !haveOneSame()) return false
      const proof: Proof = { runs, isOne: before?.isOne ?? false }
      proofs.set(pair, proof)
      const looked = look(one, other, proof, lists).finally(() => looking.delete(looked))
      looking.add(looked)
      return proof.isOne
    },
    async settled() {
      while (looking.size > 0) await Promise.all(looking)
    },
  }
}

/** Put by the one that would be hidden: the other would have to know its name to hide it. */
async function haveOneMark({ marks }: Engine, other: Engine, closed: AbortSignal): Promise<boolean> {
  const theirs = other.marks
  if (!marks || !theirs) return false
  const mark = `hatchway-same-${randomBytes(16).toString('hex')}`
  const limit = engineLimit('looking for a mark', PROOF_MS)
  try {
    return await withDeadline(limit, [closed], async (signal) => {
      await theirs.put(mark, signal)
      return (await marks.list(signal)).includes(mark)
    })
  } finally {
    // Its answer is nobody's business; what stays is one empty volume.
    void withDeadline(limit, [], (signal) => theirs.drop(mark, signal)).catch(() => {})
  }
}
