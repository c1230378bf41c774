/**
 * Where one connection leads: what it has chosen and entered first, which all its sessions enter. A template's container is
 * made, one that does not run is started.
 */

import { asHatchwayError, HatchwayError, isFailure } from '../base/errors.ts'
import type { Target } from '../container/containers.ts'
import { brief, notFound } from '../container/find.ts'
import type { ContainerHost } from '../container/host-names.ts'
import { stateWord } from '../container/lifecycle/start.ts'
import { type Route, routeOf, type TemplateRoute, targetOf } from '../container/route.ts'
import { noTemplate } from '../container/templates/template.ts'
import type { Tell } from '../container/templates/template-containers.ts'
import type { Container } from '../engine/engine.ts'
import { shortId } from '../engine/ref.ts'
import type { PickerQuestion } from '../picker/ask.ts'
import type { PickerEntry } from '../picker/entry.ts'
import type { Gate } from '../policy/gate.ts'
import { joined } from '../policy/joined.ts'
import { whoseOf } from '../policy/policy-events.ts'
import type { Action, Granted } from '../policy/request.ts'
import { createRoutes, type Requester, type Routes, type RoutesDependencies } from './routes.ts'

export interface DestinationDependencies extends RoutesDependencies {
  /** Whether what they do could be recorded, where it must be. @throws HatchwayError AUDIT_UNAVAILABLE */
  readonly demandRecord?: ((identity: Requester['identity']) => void) | undefined
  /** Takes where a connection leads, once it is made, chosen or entered. */
  readonly led: Led
}

export type Led = (closed: AbortSignal, container: Container) => void

export interface Destinations extends Pick<Routes, 'routeFor' | 'find' | 'check'> {
  /**
   * Of one connection, or of one round of a session in it.
   * @param closed its end: what was made or started for it is not needed any more
   * @param prove that they could log in by such a login name: they chose it later. Rejects where not
   * @param toGateway what was decided for this connection already
   */
  open(
    who: Requester,
    closed: AbortSignal,
    prove: (login: string) => Promise<void>,
    toGateway?: Promise<boolean>,
  ): Destination
}

export interface GatewayQuestion extends PickerQuestion {
  /** The names of containers that this identity may enter. @throws HatchwayError ENGINE_* */
  hosts(signal: AbortSignal): Promise<readonly ContainerHost[]>
}

export interface Destination {
  /**
   * The login names nothing, or a word that is no container: it can jump and pick. Decided once: containers come and go.
   */
  readonly toGateway: Promise<boolean>
  /** The question that asks for the container; undefined: the container is known. */
  unknown(): Promise<GatewayQuestion | undefined>
  /** Container and user, running or not, for what is asked before a session starts; undefined: not known before it does. */
  now(): Promise<Target | undefined>
  /**
   * Container and user, running, after the policy said yes to every action. `tell` takes a line for the person who waits.
   */
  enter(gate: Gate, actions: readonly [Action, ...Action[]], signal: AbortSignal, tell?: Tell): Promise<Entered>
  /**
   * The very container that was entered, as it is now and running, after the policy said yes again; nothing is made or
   * started. @throws HatchwayError CONTAINER_NOT_FOUND, also where another one has its name
   */
  again(gate: Gate, action: Action, entered: Target, signal: AbortSignal): Promise<Target>
}

export interface Entered {
  readonly target: Target
  /** The answers to all actions together. */
  readonly granted: Granted
}

export function createDestinations(deps: DestinationDependencies): Destinations {
  const { containers, made } = deps
  const routes = createRoutes(deps)
  const { routeFor, find, check, mayEnter, inside, demandDebug, accompanied, plan, isToGateway, entries, unanswered } =
    routes

  function open(
    who: Requester,
    closed: AbortSignal,
    prove: (login: string) => Promise<void>,
    toGateway = isToGateway(who, closed),
  ): Destination {
    const whose = whoseOf(who)
    let route = routeFor(who.origin)
    /** What the first use entered. All others enter the same one, whatever its name means by then. */
    let first: Container | undefined
    const asked = () => ('container' in route && route.bare) || !('container' in route || 'template' in route)

    async function unknown(): Promise<GatewayQuestion | undefined> {
      if (first || !asked() || !(await toGateway)) return undefined
      return {
        ...('container' in route && { word: route.container }),
        async entries(signal) {
          const found: PickerEntry[] = []
          for await (const entry of entries(who, signal)) found.push(entry)
          return found
        },
        unanswered: () => unanswered(who),
        hosts: (signal) => containers.hosts(mayEnter(who), signal),
        async choose(ref) {
          // A leading "=": no name of the gateway's before it.
          const chosen = routeOf({ login: `=${route.user ?? ''}@${ref}` })
          const login = chosen.user === undefined ? ref : `${chosen.user}@${ref}`
          demandFree(chosen)
          await prove(login.includes('=') ? `=${login}` : login)
          // Another session may have chosen meanwhile.
          demandFree(chosen)
          route = chosen
        },
      }
    }

    /** All sessions of a connection are in one container: where one has chosen, or entered, no other chooses another. */
    function demandFree(chosen: Route): void {
      if (asked() && !first) return
      demandSame(chosen, route)
    }

    async function here(signal: AbortSignal, tell: Tell): Promise<Container> {
      const sought = route
      const found = await ('template' in sought ? fromTemplate(sought, signal, tell) : byName(sought, signal))
      // Found by the login's word, and another was chosen meanwhile.
      demandSame(sought, route)
      if (!first) deps.led(closed, found)
      first ??= found
      if (found.id !== first.id) throw changed(route, first, found)
      return found
    }

    async function byName(route: Route, signal: AbortSignal): Promise<Container> {
      const same = first && (await containers.known(first.id, signal))
      // Not to be entered under its name of now: there is no other for this connection, as sessions in it may live.
      if (same && !(await mayEnter(who)(same))) throw notFound(targetOf(route), [])
      if (same?.state === 'running') return same
      // One that is stopped was perhaps replaced: of several of a name the one that runs is meant.
      return find(who, route, signal).catch((error: unknown) => {
        if (!first || asHatchwayError(error).code !== 'CONTAINER_NOT_FOUND') throw error
        // It has another name now.
        if (same) return same
        throw changed(route, first)
      })
    }

    async function fromTemplate(route: TemplateRoute, signal: AbortSignal, tell: Tell): Promise<Container> {
      if (!made) throw noTemplate(route.template.name)
      if (first && !(await containers.known(first.id, signal))) throw changed(route, first)
      return made.container(await plan(who, route), closed, tell, signal, whose)
    }

    return {
      toGateway,
      unknown,
      async now() {
        if ('template' in route || (await unknown())) return undefined
        const found = await here(closed, () => {})
        return found.beside !== undefined ? undefined : inside(who, found, route.user, closed)
      },

      async enter(gate, actions, signal, tell = () => {}) {
        deps.demandRecord?.(who.identity)
        const whole = await accompanied(who, await here(signal, tell), tell, signal)
        const found = await inside(who, whole, route.user, signal)
        const [action, ...others] = actions
        const demandAll = async (target: Target): Promise<Entered> => {
          let granted = await gate.demand(action, target)
          for (const other of others) granted = joined(granted, await gate.demand(other, target))
          return { target, granted }
        }
        // Before anything is started for it: what is refused must not leave a container running.
        const entered = await demandAll(found)
        const own = 'template' in route
        const may = async () => own || gate.demand({ kind: 'start' }, found)
        const container = await deps.starter
          .running(found.container, { may, tell, closed, own, whose }, signal)
          .catch((error: unknown) => {
            const isRefused = isFailure(error, 'CONTAINER_NOT_RUNNING', 'NOT_PERMITTED')
            if (isRefused && action.kind === 'sftp' && hasFiles(found.container)) return found.container
            throw error
          })
        // A start may take minutes and write another passwd: what was permitted is not permitted to whoever that says.
        return container === found.container ? entered : demandAll(await inside(who, container, route.user, signal))
      },

      async again(gate, action, entered, signal) {
        deps.demandRecord?.(who.identity)
        const { id } = entered.container
        const found = await containers.resolve(id, mayEnter(who), signal)
        if (found.id !== id) throw new HatchwayError('CONTAINER_NOT_FOUND', 'the container is gone')
        if (found.state !== 'running')
          throw new HatchwayError('CONTAINER_NOT_RUNNING', `container ${found.name} is ${stateWord(found.state)}`)
        await demandDebug(who, found)
        const target = await inside(who, found, route.user, signal)
        await gate.demand(action, target)
        return target
      },
    }
  }

  return { routeFor, find, check, open }
}

/** sftp works all the same: the engine copies files of a stopped container, too. */
function hasFiles({ state }: Container): boolean {
  return state === 'exited' || state === 'created'
}

/** Not CONTAINER_CHANGED, which ends the connection: the session that was first lives. @throws HatchwayError */
function demandSame(sought: Route, chosen: Route): void {
  if (targetOf(sought) === targetOf(chosen) && sought.user === chosen.user) return
  const where = `another session of this connection has chosen "${brief(targetOf(chosen))}"`
  throw new HatchwayError('NOT_PERMITTED', `${where}: another container needs a connection of its own (ssh -S none)`)
}

/** `now`: what the name means; undefined: nothing. */
function changed(route: Route, was: Container, now?: Container): HatchwayError {
  const name = `"${brief(targetOf(route))}"`
  const short = ({ id }: Container) => shortId(id)
  const what = now ? `is another container now (${short(now)}, it was ${short(was)})` : `(${short(was)}) is gone`
  return new HatchwayError('CONTAINER_CHANGED', `${name} ${what}: connect again`)
}
