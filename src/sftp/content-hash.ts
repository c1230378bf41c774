/**
 * SHA-256 of what goes through a handle, read along: as long as it comes in order from the file's beginning, one state of a
 * hash is all that is kept. What comes in another order has no hash, and is said to have none.
 */
import { createHash, type Hash } from 'node:crypto'

/** Of one session. A client may open more files at a time. */
const MAX_HASHES = 256

/** Takes the bytes that follow, lent, piece by piece. */
export type TakeBytes = (piece: Buffer) => void

export interface ContentHash {
  /** `length` bytes from `offset` on are about to come. Undefined: they are not looked at. */
  next(offset: number, length: number): TakeBytes | undefined
  /** What came has failed: it is not what the file has. */
  spoil(): void
  /** Hex; undefined: not all `bytes` were seen in order from the beginning. Once. */
  end(bytes: number): string | undefined
}

/** @returns a function that makes one, of which only so many compute at a time */
export function createContentHashes(most = MAX_HASHES): () => ContentHash {
  let computing = 0
  return () => {
    let hash: Hash | undefined
    let seen = 0
    let isSpoilt = false

    function spoil(): void {
      if (hash) computing--
      hash = undefined
      isSpoilt = true
    }

    return {
      next(offset, length) {
        if (isSpoilt || offset !== seen || (!hash && computing >= most)) {
          spoil()
          return undefined
        }
        if (!hash) computing++
        hash ??= createHash('sha256')
        let left = length
        return (piece) => {
          const taken = piece.length > left ? piece.subarray(0, left) : piece
          left -= taken.length
          seen += taken.length
          hash?.update(taken)
        }
      },
      spoil,
      end(bytes) {
        const digest = seen === bytes ? hash?.digest('hex') : undefined
        spoil()
        return digest
      },
    }
  }
}
