/**
 * From the SSH user name to what it asks for. One grammar, read from the right, where nothing is guessed:
 *
 *   [USER]@TARGET   the last "@" divides, and whatever is behind it is the target: container names and ids hold no "@",
 *                   user names inside (LDAP, "a@b") may
 *   +NAME  ~NAME    a template, also as TARGET above and below
 *   USER+TARGET     for clients that cannot carry an "@" in a user: one "+" or "%" divides, where what is behind it can
 *   [USER]%TARGET   be a container's name (which holds neither) and the user ends in none of + % ~
 *   WORD            a container, as its default user
 *   USER@  @        nothing: the connection is to the gateway itself
 *
 * What follows a ":" in USER, or in all of it without an "@", is dropped, as in sshd. ALICE= in front of any of these names
 * the person who asks, and is no part of the route (login-name.ts).
 */
import { splitLoginName } from '../base/login-name.ts'

/** The user asked for inside; absent: the container's default user. */
interface Inside {
  readonly user?: string
}

export interface ContainerRoute extends Inside {
  /** The container as the client wrote it: a name, id prefix, service.project, ... */
  readonly container: string
  /**
   * A word and nothing else. ssh sends its user's own login name where none is given, so a word that names no container
   * is no mistake: it asks for the gateway itself, as an empty name does.
   */
  readonly bare: boolean
}

export interface TemplateRoute extends Inside {
  /** fresh: made for this connection. personal: one is kept for each identity. */
  readonly template: { readonly name: string; readonly kind: 'fresh' | 'personal' }
}

/** What a client gave: its user name, and the host where it named one before the login (a jump, CONNECT, SOCKS, stdio). */
export interface RequestedLogin {
  readonly login: string
  readonly host?: string
}

export type Route = ContainerRoute | TemplateRoute | Inside

/** Engines accept no other; a folder of a devcontainer may be anything, and is written behind an "@". */
const NAME = '[a-zA-Z0-9][a-zA-Z0-9_.-]*'
const TEMPLATE = new RegExp(`^([+~])(${NAME})$`)
const MARK = /[+%~]/
const WITHOUT_AT = new RegExp(`^(?:(.*[^+%~])[+%]|%)([+~]?${NAME})$`, 's')

/**
 * With a host, the host is the target and the user name is only the user inside, whatever it holds; "@" is none. A suffix
 * (".ctr", for patterns in ssh_config) is taken off the host once.
 */
export function routeOf({ login, host }: RequestedLogin, suffixes: readonly string[] = []): Route {
  if (host === undefined) return parseRoute(login)
  const suffix = suffixes.find((suffix) => host.length > suffix.length && host.endsWith(suffix)) ?? ''
  const { address } = splitLoginName(login)
  return withUser(withoutStyle(address === '@' ? '' : address), host.slice(0, host.length - suffix.length), false)
}

export function parseRoute(sshUser: string): Route {
  const { address } = splitLoginName(sshUser)
  const at = address.lastIndexOf('@')
  if (at >= 0) return withUser(withoutStyle(address.slice(0, at)), address.slice(at + 1), false)
  const name = withoutStyle(address)
  const [, user = '', target] = WITHOUT_AT.exec(name) ?? []
  return target === undefined ? withUser('', name, !MARK.test(name)) : withUser(user, target, false)
}

/**
 * "user:style", as auth2.c takes it apart: the style is for an authentication that there is none of here. No name inside
 * has a ":", and no container but a folder, which is behind an "@".
 */
function withoutStyle(name: string): string {
  const [before = ''] = name.split(':', 1)
  return before
}

/** As in a login name; empty: the gateway itself. */
export function targetOf(route: Route): string {
  if ('container' in route) return route.container
  if (!('template' in route)) return ''
  return `${route.template.kind === 'fresh' ? '+' : '~'}${route.template.name}`
}

/** Can only jump and pick: it names nothing, or a bare word that turned out to be no container. */
export function asksForGateway(route: Route, containerFound: boolean): boolean {
  if ('template' in route) return false
  return !('container' in route) || (route.bare && !containerFound)
}

function withUser(user: string, target: string, bare: boolean): Route {
  const inside = user === '' ? {} : { user }
  if (target === '') return inside
  const [, mark, name] = TEMPLATE.exec(target) ?? []
  if (name !== undefined) return { ...inside, template: { name, kind: mark === '+' ? 'fresh' : 'personal' } }
  return { ...inside, container: target, bare }
}
