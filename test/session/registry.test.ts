import { describe, expect, it } from 'vitest'
import { type SessionFacts, SessionRegistry } from '../../src/session/registry.ts'

const facts: SessionFacts = {
  connectionId: 'c1',
  identity: { name: 'alice', fingerprint: 'SHA256:x' },
  remote: { address: '127.0.0.1', port: 50_000 },
  container: { id: 'a'.repeat(64), name: 'web' },
  user: 'dev',
  start: 'exec',
  command: 'id',
  tty: false,
}

describe('the session registry', () => {
  it('follows a session from created over running to stopped, with bytes, times and end', () => {
    const registry = new SessionRegistry()
    const record = registry.open(facts)
    expect(registry.list()).toMatchObject([{ state: 'created' }])
    record.running()
    record.running()
    record.addIn(3)
    record.addOut(4)
    record.addOut(5)
    expect(registry.list()).toMatchObject([{ ...facts, id: record.id, state: 'running', bytesIn: 3, bytesOut: 9 }])
    record.end({ code: 7 })
    record.end({ code: 8 })
    expect(registry.list()).toEqual([])
    const [stopped] = registry.list({ stopped: true })
    expect(stopped).toMatchObject({ state: 'stopped', end: { code: 7 } })
    expect(stopped!.stoppedAt).toBeGreaterThanOrEqual(stopped!.createdAt)
  })

  it('adds up the bytes of all, and never less than before; and knows those that have not started', () => {
    const registry = new SessionRegistry()
    const [one, two] = [registry.open(facts), registry.open(facts)]
    expect(registry.starting).toBe(2)
    one.running()
    one.addIn(3)
    two.addOut(40)
    expect(registry.traffic()).toEqual({ bytesIn: 3, bytesOut: 40 })
    expect(registry.starting).toBe(1)
    one.end({ code: 0 })
    one.addIn(5)
    expect(registry.traffic()).toEqual({ bytesIn: 3, bytesOut: 40 })
    two.end({ code: 0 })
    expect(registry.traffic()).toEqual({ bytesIn: 3, bytesOut: 40 })
    expect(registry.starting).toBe(0)
  })

  it('keeps a bounded history and a bounded command', () => {
    const registry = new SessionRegistry()
    for (let i = 0; i < 1000; i++) registry.open({ ...facts, command: 'x'.repeat(100_000) }).end({ code: 0 })
    const stopped = registry.list({ stopped: true })
    expect(stopped).toHaveLength(200)
    expect(stopped[0]?.command).toHaveLength(4096)
  })

  it('kills by id, once, also when nobody listens yet', () => {
    const registry = new SessionRegistry()
    const [one, two] = [registry.open(facts), registry.open(facts)]
    const reasons: string[] = []
    one.onKill((reason) => reasons.push(`one ${reason}`))
    expect(registry.kill(one.id, 'a')).toBe(true)
    expect(registry.kill(one.id, 'b')).toBe(true)
    registry.kill(two.id, 'c')
    two.onKill((reason) => reasons.push(`two ${reason}`))
    expect(reasons).toEqual(['one a', 'two c'])
    one.end({ signal: 'HUP', coreDumped: false })
    expect(registry.kill(one.id)).toBe(false)
  })

  it('tells every live session a sentence, and none that ended', () => {
    const registry = new SessionRegistry()
    const [one, two] = [registry.open(facts), registry.open(facts)]
    const told: string[] = []
    one.onNotice((sentence) => told.push(`one ${sentence}`))
    two.onNotice((sentence) => told.push(`two ${sentence}`))
    registry.open(facts)
    two.end({ code: 0 })
    registry.tellAll('going')
    expect(told).toEqual(['one going'])
  })

  it('resolves a drain when the last session ends', async () => {
    const registry = new SessionRegistry()
    const [one, two] = [registry.open(facts), registry.open(facts)]
    const drained = registry.drained(AbortSignal.timeout(20_000))
    one.end({ code: 0 })
    let settled = false
    void drained.then(() => {
      settled = true
    })
    await new Promise(setImmediate)
    expect(settled).toBe(false)
    two.end({ code: 0 })
    expect(await drained).toBe(true)
  })

  it('gives a drain up when told so, and has nothing to wait for when empty', async () => {
    const registry = new SessionRegistry()
    expect(await registry.drained(AbortSignal.abort())).toBe(true)
    registry.open(facts)
    expect(await registry.drained(AbortSignal.timeout(20))).toBe(false)
  })
})
