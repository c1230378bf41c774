// The token behind sk-provider.c: ALGORITHM APPLICATION FLAGS DATA(hex) HANDLE(hex, the name of a PEM file) on the command
// line, "FLAGS COUNTER R S" in hexadecimal on standard output. SOFT_TOKEN_FLAGS: what it says it saw instead.
import { createHash, createPrivateKey, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'

const [algorithm, application, asked, data, handle] = process.argv.slice(2)
const sha256 = (bytes) => createHash('sha256').update(bytes).digest()
const flags = Number(process.env.SOFT_TOKEN_FLAGS ?? asked)
const counter = Number(process.env.SOFT_TOKEN_COUNTER ?? Math.floor(Date.now() / 1000))
const tail = Buffer.alloc(5)
tail.writeUInt8(flags)
tail.writeUInt32BE(counter, 1)
const message = Buffer.concat([sha256(Buffer.from(application)), tail, sha256(Buffer.from(data, 'hex'))])
const key = createPrivateKey(readFileSync(Buffer.from(handle, 'hex').toString()))
const both = algorithm === '1' ? sign(null, message, key) : sign('sha256', message, { key, dsaEncoding: 'ieee-p1363' })
const parts = algorithm === '1' ? [both, Buffer.alloc(0)] : [both.subarray(0, 32), both.subarray(32)]
process.stdout.write(`${flags} ${counter} ${parts.map((part) => part.toString('hex') || '-').join(' ')}\n`)
