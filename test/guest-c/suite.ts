/** Every test of the helper runs on each of its builds; clients and folders are gone after each test. */
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, test } from 'vitest'
import { type Build, builds } from './binary.ts'
import { Client, type ClientOptions } from './client.ts'

export interface Suite {
  readonly build: Build
  readonly run: typeof test
  start(options?: Partial<ClientOptions>): Promise<Client>
  scratch(): string
}

export function suite(title: string, define: (suite: Suite) => void, over: readonly Build[] = builds): void {
  for (const build of over) {
    describe(`${title}, ${build.name}${build.skip ? ` (skipped: ${build.skip})` : ''}`, () => {
      const open: Client[] = []
      const folders: string[] = []
      afterEach(async () => {
        for (const client of open.splice(0)) await client.dispose()
        for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
      })
      define({
        build,
        run: (build.skip ? test.skip : test) as typeof test,
        async start(options = {}) {
          const client = await Client.start({ binary: build.binary, wrap: build.wrap, env: build.env, ...options })
          open.push(client)
          return client
        },
        scratch() {
          const folder = realpathSync(mkdtempSync(join(tmpdir(), 'hatchway-guest-c-')))
          folders.push(folder)
          return folder
        },
      })
    })
  }
}

export function descriptors(client: Client): number {
  return readdirSync(`/proc/${client.process.pid}/fd`).length
}

export function children(client: Client): string[] {
  const pid = client.process.pid
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean)
}

/** Alive and no zombie. */
export function alive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
