/** Containers of the images that scripts/images.sh builds, named hw-test-* so that a leftover is recognised. */
import { randomBytes } from 'node:crypto'
import { type Finished, run } from './run.ts'

/** The docker CLI; throws on a non-zero exit. */
export async function docker(...args: string[]): Promise<string> {
  const result = await run('docker', args, { limit: 60_000 })
  if (result.code !== 0) throw new Error(`docker ${args.join(' ')}: ${result.stderr.toString().trim()}`)
  return result.stdout.toString().trim()
}

/**
 * `docker pause`, once no exec is about to start: runc's then freezes half-way, and Docker 20.10 never gives the container
 * back. The gateway's own execs (a helper that is delivered, its file removed) come after a session has begun.
 */
export async function pauseContainer(name: string): Promise<void> {
  const execs = () => docker('inspect', '-f', '{{.ExecIDs}}', name)
  let known = await execs()
  for (let calm = 0, tries = 0; calm < 4 && tries < 60; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 250))
    const now = await execs()
    calm = now === known ? calm + 1 : 0
    known = now
  }
  await docker('pause', name)
}

export type TestImage = 'debian' | 'busybox' | 'scratch'

export interface TestContainer {
  readonly id: string
  readonly name: string
  /** On docker's bridge, reachable from this machine; undefined with another network. */
  readonly address: string | undefined
  /** A shell command inside, past whatever is under test. */
  inside(command: string, user?: string): Promise<Finished>
  /** How many processes inside have `mark` in their argv; `kill` ends them too. */
  count(mark: string, kill?: 'kill'): Promise<number>
  remove(): Promise<void>
}

export interface ContainerOptions {
  readonly name?: string
  /** More `docker run` options: labels, -e, --user, --read-only. */
  readonly args?: readonly string[]
  readonly command?: readonly string[]
}

/** Text no other process has in its argv. */
export function testMark(): string {
  return `hw-mark-${randomBytes(6).toString('hex')}`
}

export function testName(what: string): string {
  return `hw-test-${what}-${randomBytes(4).toString('hex')}`
}

export async function startContainer(image: TestImage, options: ContainerOptions = {}): Promise<TestContainer> {
  const name = options.name ?? testName(image)
  const id = await docker(
    'run',
    '-d',
    '--name',
    name,
    ...(options.args ?? []),
    `hatchway-${image}:latest`,
    ...(options.command ?? []),
  )
  const address = await docker('inspect', '-f', '{{.NetworkSettings.IPAddress}}', name)
  const inside: TestContainer['inside'] = (command, user = '0') =>
    run('docker', ['exec', '-u', user, name, 'sh', '-c', command])
  return {
    id,
    name,
    address: address === '' ? undefined : address,
    inside,
    count: async (mark, kill) => {
      // The bracket keeps the asking shell's own argv from matching.
      const pattern = `[${mark.slice(0, 1)}]${mark.slice(1)}`
      const { stdout } = await inside(`pgrep -f '${pattern}' | wc -l${kill ? `; pkill -f '${pattern}'; true` : ''}`)
      return Number(stdout.toString().trim())
    },
    remove: async () => {
      // Idempotent: a test may have removed it itself.
      await run('docker', ['rm', '-f', '-v', name], { limit: 60_000 })
    },
  }
}

/** Containers that several tests of a file look into and leave as they are: each is started once. */
export interface SharedContainers {
  /** @param change a shell command that root runs inside before anybody looks */
  start(image: TestImage, args?: readonly string[], change?: string): Promise<TestContainer>
  remove(): Promise<void>
}

export function sharedContainers(): SharedContainers {
  const started = new Map<string, Promise<TestContainer>>()
  const make = async (image: TestImage, args: readonly string[], change: string) => {
    const container = await startContainer(image, { args })
    const { code, stderr } = change === '' ? { code: 0, stderr: '' } : await container.inside(change)
    if (code === 0) return container
    await container.remove()
    throw new Error(`${change}: ${stderr}`)
  }
  return {
    start(image, args = [], change = '') {
      const key = JSON.stringify([image, args, change])
      const found = started.get(key) ?? make(image, args, change)
      started.set(key, found)
      found.catch(() => started.delete(key))
      return found
    },
    async remove() {
      for (const one of await Promise.allSettled(started.values())) {
        if (one.status === 'fulfilled') await one.value.remove()
      }
    },
  }
}
