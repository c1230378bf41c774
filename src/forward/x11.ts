/**
 * X11 forwarding as sshd does it (session.c, channels.c x11_create_display_inet): a display on the container's loopback,
 * the client's cookie given to xauth where the container has one. One display for each connection.
 */
import { OWN_PATH } from '../engine/own-path.ts'
import { runToEnd, UNHEARD } from '../engine/own-program.ts'
import { type Guest, GuestRefusal } from '../guest/guest.ts'
import { deadline } from '../lifetime/deadline.ts'
import type { X11Request } from '../ssh/session.ts'
import { forwardFacts } from './book.ts'
import { createInlet } from './join.ts'
import { type Lent, type LentPlace, lend } from './lent.ts'

/** X11DisplayOffset of sshd_config(5), and how many displays are tried (channels.c MAX_DISPLAYS is 1000). */
const FIRST_DISPLAY = 10
const DISPLAYS = 200
const X11_PORT = 6000
const XAUTH_MS = 10_000

export interface Display extends Lent {
  readonly number: number
  readonly guest: Guest
}

/** @throws HatchwayError, GuestRefusal when no display is free */
export async function openDisplay(at: LentPlace, signal: AbortSignal): Promise<Display> {
  const { connection, closed, guest, book } = at
  for (let number = FIRST_DISPLAY; ; number++) {
    const facts = forwardFacts('x11', `localhost:${X11_PORT + number}`, at.target)
    const inlet = createInlet(book, () => facts)
    try {
      const listener = await guest.listen(
        { kind: 'tcp', host: 'localhost', port: X11_PORT + number },
        ({ end, address, port }) => inlet.join(end, () => connection.openX11({ address, port })),
        signal,
      )
      return { number, guest, ...lend(closed, listener, inlet, book.listening(facts)) }
    } catch (error) {
      const busy = error instanceof GuestRefusal && error.errno === 'EADDRINUSE'
      if (!busy || number >= FIRST_DISPLAY + DISPLAYS) throw error
    }
  }
}

export function displayName(display: Display, request: X11Request): string {
  return `localhost:${display.number}.${request.screen}`
}

/**
 * Tell xauth the cookie that X programs inside must show; by its stdin, for argv can be read by everybody. A container
 * without xauth is no failure: its programs may know other ways. sshd has its place by XAuthLocation, and asks no PATH either.
 */
export async function addCookie(
  display: Display,
  request: X11Request,
  env: readonly string[],
  home: string,
): Promise<void> {
  // Both go into xauth's own command language: nothing but what they can be.
  if (!/^[\w-]{1,64}$/.test(request.protocol) || !/^[0-9a-fA-F]{2,1024}$/.test(request.cookie)) return
  const name = `unix:${display.number}.${request.screen}`
  const limit = deadline(XAUTH_MS)
  try {
    const spec = { program: 'xauth', argv: ['xauth', '-q', '-'], env: [...env, `PATH=${OWN_PATH}`] }
    const exec = await display.guest.spawn({ ...spec, cwd: home, cwdWarning: '', killTree: false }, UNHEARD, limit)
    await runToEnd(exec, limit, `remove ${name}\nadd ${name} ${request.protocol} ${request.cookie}\n`)
  } catch {
    // No xauth inside, or it failed: as above.
  }
}
