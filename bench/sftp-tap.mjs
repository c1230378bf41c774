// What reading along with sftp costs: CPU of the decoder alone, for one large file and for many small ones, beside a
// copy of the same bytes. npm run build && node bench/sftp-tap.mjs
import { createSftpTap } from '../dist/sftp/tap.js'

const u32 = (value) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const text = (value) => Buffer.concat([u32(value.length), Buffer.from(value)])
const packet = (type, id, ...parts) => {
  const body = Buffer.concat([Buffer.from([type]), u32(id), ...parts])
  return Buffer.concat([u32(body.length), body])
}
const status = (id) => packet(101, id, u32(0), text('Success'), text(''))
const cpu = (act) => {
  const before = process.cpuUsage()
  act()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

const FILE = 32_000
function large(tap) {
  tap.input(packet(3, 0, text('/file'), u32(26), u32(0)))
  tap.output(1, packet(102, 0, text('h000')))
  // OpenSSH's client: 64 requests of 32 KB under way; a channel's data comes in pieces of 32 KB at most.
  const write = packet(6, 1, text('h000'), Buffer.alloc(8), text(Buffer.alloc(FILE)))
  const stream = Buffer.concat(Array.from({ length: 64 }, () => write))
  const answer = status(1)
  for (let i = 0; i < 1e9 / (64 * FILE); i++) {
    for (let at = 0; at < stream.length; at += 32_768) tap.input(stream.subarray(at, at + 32_768))
    for (let n = 0; n < 64; n++) tap.output(1, answer)
  }
  tap.end()
}

function small(tap, files) {
  const data = Buffer.alloc(4096)
  for (let i = 0; i < files; i++) {
    tap.input(packet(3, 1, text(`/folder/file${i}`), u32(26), u32(0)))
    tap.output(1, packet(102, 1, text('h000')))
    tap.input(packet(6, 2, text('h000'), Buffer.alloc(8), text(data)))
    tap.output(1, status(2))
    tap.input(packet(4, 3, text('h000')))
    tap.output(1, status(3))
  }
  tap.end()
}

const off = { input() {}, output() {}, end() {} }
let told = 0
const on = () => createSftpTap(() => told++)
large(on())
small(on(), 20_000)
const rounds = Array.from({ length: 5 }, () => ({
  large: cpu(() => large(on())) - cpu(() => large(off)),
  small: (cpu(() => small(on(), 50_000)) - cpu(() => small(off, 50_000))) / 50_000,
}))
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
console.log(`one large file: ${median(rounds.map((round) => round.large)).toFixed(3)} CPU s a GB`)
console.log(
  `small files: ${(median(rounds.map((round) => round.small)) * 1e6).toFixed(1)} us CPU a file (told: ${told})`,
)
