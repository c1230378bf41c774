/**
 * The client's share of the first exchange, held until the transport says so: what ssh2 does with it is nearly all that a
 * stranger's connection costs, and it does it at once.
 */
import type { KexProtocol, ParserVerdict } from './internals.ts'

export function inTurn(protocol: KexProtocol, stock: () => ParserVerdict): ParserVerdict {
  const { takeTurn, _parse: parse } = protocol
  const exchange = protocol._kex
  if (!takeTurn || !exchange) return stock()
  const behind: Buffer[] = []
  let computed = false
  let isHeld = false
  let verdict: ParserVerdict
  takeTurn(exchange.negotiated.kex, () => {
    computed = true
    protocol._parse = parse
    verdict = stock()
    // In the parser, what is behind is still to come.
    if (!isHeld || verdict === Number.POSITIVE_INFINITY) return
    for (const bytes of behind) protocol.parse(bytes, 0, bytes.length)
  })
  if (computed) return verdict
  isHeld = true
  protocol._parse = (chunk, from, to) => {
    behind.push(chunk.subarray(from, to))
    return to
  }
  // ssh2's parser goes on where this packet ends, with the function above.
  return false
}
