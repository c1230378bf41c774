/** Which binaries the tests run: the real one, and the same sources under the sanitizers; built by the Makefile here. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const guest = fileURLToPath(new URL('../../guest/', import.meta.url))

export interface Build {
  readonly name: string
  readonly binary: string
  readonly wrap: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly skip?: string
}

function make(target: string): string | undefined {
  try {
    execFileSync('make', ['-s', '-C', guest, target], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function native(): Build {
  const failure = make('all')
  if (failure) throw new Error(failure)
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64'
  return { name: arch, binary: `${guest}bin/hatchway-guest-${arch}`, wrap: [], env: process.env }
}

/** Static libasan is not asked for: where the compiler has none, the run is skipped and says so. */
function sanitized(): Build {
  const failure = make('hosted')
  return {
    name: 'asan and ubsan',
    binary: `${guest}build/hatchway-guest-asan`,
    wrap: [],
    // Leak checks ask for ptrace, which the helper forbids; it has no heap to leak from.
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0:handle_segv=1', UBSAN_OPTIONS: 'print_stacktrace=1' },
    ...(failure && { skip: `no sanitizers here: ${failure}` }),
  }
}

export function emulatedArm64(): Build {
  const binary = `${guest}bin/hatchway-guest-arm64`
  const qemu = ['/usr/bin/qemu-aarch64-static', '/usr/bin/qemu-aarch64'].find(existsSync)
  make('all')
  const skip = !existsSync(binary) ? 'no aarch64 cross compiler' : qemu ? undefined : 'no qemu-user'
  return { name: 'arm64 under qemu', binary, wrap: qemu ? [qemu] : [], env: process.env, ...(skip && { skip }) }
}

export const real = native()
export const builds: readonly Build[] = [real, sanitized()]
