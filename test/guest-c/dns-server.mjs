/** The name server and the echo server of resolve.test.ts; run inside its network namespace. */
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'

const A = 1
const AAAA = 28
const CNAME = 5

function nameBytes(name) {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]))
  return Buffer.concat([...labels, Buffer.from([0])])
}
function record(type, data, name = Buffer.from([0xc0, 12])) {
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(type, 0)
  fixed.writeUInt16BE(1, 2)
  fixed.writeUInt32BE(60, 4)
  fixed.writeUInt16BE(data.length, 8)
  return Buffer.concat([name, fixed, data])
}
const v4 = (...bytes) => record(A, Buffer.from(bytes))
const v6 = record(AAAA, Buffer.from('00000000000000000000000000000001', 'hex'))

function reply(query, code, records = []) {
  const header = Buffer.from(query.subarray(0, 12))
  header.writeUInt16BE(0x8180 | code, 2)
  header.writeUInt16BE(records.length, 6)
  return Buffer.concat([header, query.subarray(12), ...records])
}

const server = createSocket('udp4')
server.on('message', (query, peer) => {
  const labels = []
  let at = 12
  while (query[at]) {
    labels.push(query.subarray(at + 1, at + 1 + query[at]).toString())
    at += 1 + query[at]
  }
  const type = query.readUInt16BE(at + 1)
  const name = labels.join('.').toLowerCase()
  const send = (bytes) => server.send(bytes, peer.port, peer.address)
  const four = (answer) => (type === A ? reply(query, 0, [answer]) : reply(query, 0))
  const wrongId = (bytes) => {
    const copy = Buffer.from(bytes)
    copy.writeUInt16BE((copy.readUInt16BE(0) + 1) & 0xffff, 0)
    return copy
  }
  switch (name) {
    case 'four.test':
      return send(four(v4(127, 0, 0, 4)))
    case 'half.test':
      return type === A ? send(four(v4(127, 0, 0, 4))) : undefined
    case 'six.test':
      return send(type === AAAA ? reply(query, 0, [v6]) : reply(query, 0))
    case 'alias.test':
      return send(
        type === A
          ? reply(query, 0, [
              record(CNAME, nameBytes('four.test')),
              record(A, Buffer.from([127, 0, 0, 4]), nameBytes('four.test')),
            ])
          : reply(query, 0, [record(CNAME, nameBytes('four.test'))]),
      )
    case 'several.test':
      return send(type === A ? reply(query, 0, [v4(127, 0, 0, 99), v4(127, 0, 0, 4)]) : reply(query, 0))
    case 'nothing.test':
      return send(reply(query, 0))
    case 'servfail.test':
      return send(reply(query, 2))
    case 'silent.test':
      return undefined
    case 'forged.test': {
      send(wrongId(reply(query, 0, [v4(127, 0, 0, 9)])))
      const other = reply(query, 0, [v4(127, 0, 0, 9)])
      other[13] = 'x'.charCodeAt(0)
      send(other)
      send(query)
      return send(four(v4(127, 0, 0, 4)))
    }
    case 'garbage.test':
      for (let n = 0; n < 40; n++) send(Buffer.concat([query.subarray(0, 2), Buffer.alloc(n, 0xff)]))
      return undefined
    case 'loop.test':
      return send(reply(query, 0, [record(type, Buffer.alloc(0), Buffer.from([0xc0, query.length]))]))
    case 'short.test': {
      const whole = reply(query, 0, [v4(127, 0, 0, 4)])
      return send(whole.subarray(0, whole.length - 2))
    }
    case 'huge.test': {
      const lying = reply(query, 0, [record(type, Buffer.alloc(400))])
      lying.writeUInt16BE(0xffff, 6)
      return send(lying)
    }
    default:
      return send(reply(query, 3))
  }
})

const echo = (address) =>
  new Promise((resolve) =>
    createServer((socket) => {
      socket.on('error', () => {})
      socket.write(`${address}\n`)
    }).listen(7777, address, resolve),
  )
await Promise.all(['127.0.0.1', '127.0.0.4', '::1'].map(echo))
server.bind(53, '127.0.0.1', () => console.log('ready'))
