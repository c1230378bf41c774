/**
 * The plain road: one engine exec per session. It serves what an exec can; a small launcher in the container's own
 * /bin/sh does before the program starts what the engine cannot: home with sshd's warning, the terminal's size from the
 * first byte, SSH_TTY, a shell that exists, a login shell's argv[0].
 *
 * No engine can signal or end an exec (moby#35703). So every session carries a random cookie in its environment, and a
 * second small exec ends by it what the session left: never by a host pid, which may be another process by then.
 */

import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { WindowSize } from '../base/program.ts'
import type { Container, Engine, Exec, OutputSink } from '../engine/engine.ts'
import { execIn } from '../engine/exec-in.ts'
import { OWN_ENVIRONMENT, OWN_SHELL } from '../engine/own-path.ts'
import { runToEnd, UNHEARD } from '../engine/own-program.ts'
import { deadline } from '../lifetime/deadline.ts'
import { deferred } from '../lifetime/deferred.ts'
import type { EnvInfo } from './envinfo.ts'
import { COOKIE, launch } from './launcher.ts'
import { pendingSignals } from './pending-signals.ts'
import type { SessionProgram } from './program.ts'

/** A program on a terminal that says nothing for so long has one. */
const TERMINAL_SETTLES_MS = 500
const HANGUP_MS = 20_000

/**
 * $1 cookie, $2 the signal's name. The session's leader is the process whose cookie has its own pid (none before the
 * launcher has begun); others have the leader's, be they leaders of sessions of their own. A parent tells nothing: with the
 * host's processes (--pid host) it is the engine's shim, which also takes orphans. The leader's session id names the
 * others. After HUP, what is left in the session and does not ignore HUP (nohup) is killed after two seconds. What called
 * setsid has left the session and lives on; so does, without a terminal, what has none of the leader's pipes as its stdin,
 * stdout or stderr (`server >log 2>&1 &`).
 * stat's second field may hold anything, so what counts begins after its last ")": state ppid pgrp session tty.
 */
const SIGNALLER = `
in_session() {
  s=$(cat /proc/$1/stat 2>/dev/null) || return 1
  set -- \${s##*)}
  [ "$4" = "$sid" ]
}
detached() {
  [ "$tty" = 0 ] && [ "$1" != "$sid" ] && [ -r /proc/$1/fd ] || return 1
  for n in 0 1 2; do
    [ -p /proc/$1/fd/$n ] || continue
    for l in 0 1 2; do [ /proc/$1/fd/$n -ef /proc/$sid/fd/$l ] && return 1; done
  done
  return 0
}
members() {
  for d in /proc/[0-9]*; do
    p=\${d#/proc/}
    in_session $p && ! detached $p && echo $p
  done
}
remaining() { for p in $list; do in_session $p && echo $p; done; }
sid=
for d in /proc/[0-9]*; do
  [ -r $d/environ ] && s=$(cat $d/stat 2>/dev/null) || continue
  p=\${d#/proc/}
  t=$(set -- \${s##*)}; [ "$4" = "$p" ] && echo "$5") || continue
  tr '\\0' '\\n' <$d/environ 2>/dev/null | grep -qxF -e "${COOKIE}=$1" -e "${COOKIE}=$1.$p" || continue
  sid=$p tty=$t
done
[ -n "$sid" ] || exit 0
if [ "$2" != HUP ]; then kill -s "$2" -- -"$sid"; exit; fi
list=$(members)
kill -s HUP $list 2>/dev/null
kill -s CONT $list 2>/dev/null
[ -z "$(remaining)" ] && exit 0
sleep 2
for p in $(remaining); do
  m=$(grep -i '^SigIgn:' /proc/$p/status 2>/dev/null)
  case $m in *[13579bdfBDF]) ;; *) kill -s KILL $p 2>/dev/null ;; esac
done
exit 0
`

export type PlainUser = Pick<EnvInfo, 'engineUser' | 'uid' | 'gid'>

export interface PlainRoad {
  readonly engine: Engine
  /** @throws HatchwayError as Engine.exec does */
  run(
    container: Container,
    user: PlainUser,
    program: SessionProgram,
    tty: WindowSize | undefined,
    sink: OutputSink,
    signal: AbortSignal,
  ): Promise<Exec>
  /** Resolves when what was to be hung up is; each has its own limit. To be awaited before the engine is closed. */
  settled(): Promise<void>
}

export function createPlainRoad(engine: Engine): PlainRoad {
  const pending = new Set<Promise<void>>()
  return {
    engine,
    async run(container, user, program, tty, sink, signal) {
      const { engineUser } = user
      const cookie = randomBytes(16).toString('hex')
      const send = (name: string) => {
        const sent = signalByCookie(engine, container.id, engineUser, cookie, name)
        pending.add(sent)
        return sent.finally(() => pending.delete(sent))
      }
      const spec = { ...launch(program, user, tty, cookie), user: engineUser, cwd: '/', ...(tty && { tty }) }
      const output = tty ? heard(sink) : { sink, first: undefined }
      const exec = await execIn(engine, container.id, spec, output.sink, signal)
      // Engines say in the stream that there was no terminal to start it on; then its input is still to be had for another.
      if (output.first)
        await Promise.race([output.first, exec.exit, delay(TERMINAL_SETTLES_MS, undefined, { ref: false })])
      let ended = false
      const signals = pendingSignals(send)
      exec.exit.then(
        () => (ended = true),
        () => (ended = true),
      )
      return {
        stdin: exec.stdin,
        exit: exec.exit,
        resume: () => exec.resume(),
        resize: (to) => exec.resize(to),
        signal(name) {
          return !ended && /^[A-Z0-9]{2,8}$/.test(name) && signals.add(name)
        },
        close() {
          exec.close()
          signals.clear()
          if (!ended) void send('HUP')
          ended = true
        },
      }
    },
    async settled() {
      while (pending.size > 0) await Promise.all(pending)
    },
  }
}

/** A sink that tells when something came. */
function heard(sink: OutputSink): { readonly sink: OutputSink; readonly first: Promise<void> } {
  const first = deferred()
  return {
    first: first.promise,
    sink: {
      write(fd, chunk) {
        first.resolve()
        return sink.write(fd, chunk)
      },
    },
  }
}

/**
 * Best effort: a container without a shell, or gone, has nothing that this could end. As the session's own user: root
 * inside has no CAP_SYS_PTRACE by default and may not read another user's environ.
 */
async function signalByCookie(
  engine: Engine,
  containerId: string,
  user: string,
  cookie: string,
  name: string,
): Promise<void> {
  const limit = deadline(HANGUP_MS)
  try {
    const argv = [OWN_SHELL, '-c', SIGNALLER, 'sh', cookie, name] as const
    const spec = { argv, user, cwd: '/', env: OWN_ENVIRONMENT }
    await runToEnd(await execIn(engine, containerId, spec, UNHEARD, limit), limit)
  } catch {
    // The container is gone or the engine is: so are the processes, or they are out of reach.
  }
}
