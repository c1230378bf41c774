/** PROXY headers as a proxy writes them. */
import { parseAddress } from '../../../src/net/address.ts'

export function v1(family: string, from: string, to: string, fromPort: number, toPort: number): string {
  return `PROXY ${family} ${from} ${to} ${fromPort} ${toPort}\r\n`
}

interface Version2 {
  /** Version and command. */
  readonly command?: number
  readonly family: number
  readonly addresses?: readonly string[]
  readonly ports?: readonly number[]
  readonly more?: Buffer
}

export function v2({ command = 0x21, family, addresses = [], ports = [], more = Buffer.alloc(0) }: Version2): Buffer {
  const body = Buffer.concat([...addresses.map(addressBytes), ...ports.map(portBytes), more])
  const head = Buffer.from('\r\n\r\n\0\r\nQUIT\n\0\0\0\0', 'latin1')
  head.writeUInt8(command, 12)
  head.writeUInt8(family, 13)
  head.writeUInt16BE(body.length, 14)
  return Buffer.concat([head, body])
}

function addressBytes(text: string): Buffer {
  const { family, value } = parseAddress(text) ?? { family: 4, value: 0n }
  return Buffer.from(value.toString(16).padStart(family === 4 ? 8 : 32, '0'), 'hex')
}

function portBytes(port: number): Buffer {
  return Buffer.from([port >> 8, port & 255])
}
