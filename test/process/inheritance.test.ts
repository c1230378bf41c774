import { openSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { socketsFor, takeInheritance } from '../../src/process/inheritance.ts'

describe('what a gateway is started with', () => {
  it('is nothing, unless the service manager means this very process', () => {
    const env = { LISTEN_PID: String(process.pid + 1), LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:b', PATH: '/bin' }
    expect(takeInheritance(env)).toMatchObject({ sockets: [], isSuccessor: false })
    expect(env).toEqual({ PATH: '/bin' })
  })

  it('are the sockets of the service manager, all of which count', () => {
    const env = { LISTEN_PID: String(process.pid), LISTEN_FDS: '2' }
    expect(takeInheritance(env)).toMatchObject({ sockets: [3, 4], isSuccessor: false })
    expect(takeInheritance({ LISTEN_PID: String(process.pid), LISTEN_FDS: 'x' }).sockets).toEqual([])
  })

  it('tells nothing of the service manager to the programs that it starts', () => {
    const env: NodeJS.ProcessEnv = { NOTIFY_SOCKET: '/run/x' }
    expect(takeInheritance(env).manager?.environment).toEqual({ NOTIFY_SOCKET: '/run/x' })
    expect(env).toEqual({})
  })
})

describe('a socket of the gateway before', () => {
  const addresses = [
    { address: '127.0.0.1', port: 2222 },
    { address: '::1', port: 2222 },
  ]
  it('is that of the same address and port, whatever its place', async () => {
    const wanted = [
      { host: '::1', port: 2222 },
      { host: 'localhost', port: 2223 },
      { host: '127.0.0.1', port: 2222 },
    ]
    expect(await socketsFor(wanted, { sockets: [7, 8], addresses }, 0)).toEqual([8, undefined, 7])
  })

  it('is taken once, and for any port where none was named', async () => {
    const [first = { address: '', port: 0 }] = addresses
    const twice = [
      { host: '127.0.0.1', port: 0 },
      { host: '127.0.0.1', port: 0 },
    ]
    expect(await socketsFor(twice, { sockets: [7], addresses: [first] }, 0)).toEqual([7, undefined])
  })

  it('is the one at a later port where the usual one was taken', async () => {
    const moved = [{ address: '127.0.0.1', port: 2224 }]
    const usual = [{ host: '127.0.0.1', port: 2222 }]
    expect(await socketsFor(usual, { sockets: [7], addresses: moved }, 10)).toEqual([7])
  })

  it('is closed where the configuration has it no more', async () => {
    const unused = openSync('/dev/null', 'r')
    const moved = [{ address: '127.0.0.1', port: 2224 }]
    const wanted = [{ host: '127.0.0.1', port: 2222 }]
    expect(await socketsFor(wanted, { sockets: [unused], addresses: moved }, 0)).toEqual([undefined])
    expect(openSync('/dev/null', 'r')).toBe(unused)
  })
})
