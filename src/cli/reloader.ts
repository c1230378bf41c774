/** Reads the configuration again on SIGHUP, `hatchway reload` and a change of its file. A broken one changes nothing. */
import { unwatchFile, watchFile } from 'node:fs'
import { stat } from 'node:fs/promises'
import { setTimeout as later } from 'node:timers/promises'
import type { Gateway } from '../app.ts'
import { asHatchwayError } from '../base/errors.ts'
import { ConfigError, type LoadedConfig } from '../config/load.ts'
import type { ReloadOutcome } from '../control/protocol.ts'
import type { Logger } from '../observe/log.ts'

export interface Reloader {
  reload(): Promise<ReloadOutcome>
  close(): void
}

/** How often stat(2) runs. It sees what inotify does not: a link that leads elsewhere now, another host's change. */
const LOOK_EVERY_MS = 1_000
/** A file that did not change for that long is complete. */
const QUIET_MS = 500

export function createReloader(loaded: LoadedConfig, gateway: Gateway, log: Logger): Reloader {
  const { file } = loaded
  let last: Promise<unknown> = Promise.resolve()
  let closed = false

  /** Reloads one after the other: the newest file wins. */
  function reload(): Promise<ReloadOutcome> {
    const next = last.then(once, once)
    last = next
    return next
  }

  async function once(): Promise<ReloadOutcome> {
    let problems: readonly string[] = []
    try {
      const next = loaded.again()
      for (const warning of next.warnings) log.warn(warning)
      const done = await gateway.reload(next)
      if (done.restart.length > 0) log.warn({ keys: done.restart }, 'changed, but needs a restart of the gateway')
      log.info({ keys: done.keys, ended: done.ended }, 'configuration and keys reloaded')
      return { ...done, problems }
    } catch (error) {
      const failure = asHatchwayError(error)
      if (failure.code !== 'CONFIG_INVALID') throw error
      problems = error instanceof ConfigError ? error.problems : [failure.message]
    }
    log.error({ problems }, 'the configuration cannot be used: the old one stays')
    const done = await gateway.reload()
    gateway.reloadRefused(problems)
    return { ...done, problems }
  }

  async function changed(path: string): Promise<void> {
    for (let before = '', now = await versionOf(path); before !== now && !closed; now = await versionOf(path)) {
      before = now
      await later(QUIET_MS)
    }
    if (!closed) await reload()
  }

  const look = () => {
    if (file === undefined) return
    log.info({ file }, 'the configuration file changed')
    changed(file).catch((error: unknown) => log.error({ err: error }, 'the configuration could not be read again'))
  }
  if (file !== undefined) watchFile(file, { interval: LOOK_EVERY_MS, persistent: false }, look)
  return {
    reload,
    close() {
      closed = true
      if (file !== undefined) unwatchFile(file, look)
    },
  }
}

async function versionOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(path)
    return `${ino} ${size} ${mtimeMs}`
  } catch {
    return 'missing'
  }
}
