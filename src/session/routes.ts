/**
 * Where a login name leads: it names a container or a template, and the policy says whether there is one for this identity.
 * Nothing is made or started. What one connection makes of it is destination.ts.
 */

import { containerFacts } from '../base/connection-facts.ts'
import { asHatchwayError, HatchwayError, isFailure } from '../base/errors.ts'
import type { ContainerEvent } from '../container/container-event.ts'
import type { Containers, Target } from '../container/containers.ts'
import type { Starter } from '../container/lifecycle/starter.ts'
import { asksForGateway, type RequestedLogin, type Route, routeOf, type TemplateRoute } from '../container/route.ts'
import { noTemplate, type Plan, plannedContainer } from '../container/templates/template.ts'
import type { MadeContainers, Tell } from '../container/templates/template-containers.ts'
import type { Container, ContainerSummary } from '../engine/engine.ts'
import { containerEntry, type PickerEntry, templateEntry } from '../picker/entry.ts'
import { demandEntry } from '../policy/gate.ts'
import { templateOwner } from '../policy/owner.ts'
import type { Policy } from '../policy/policy.ts'
import { type PolicyEvent, policyEvent, whoseOf } from '../policy/policy-events.ts'
import type { Request } from '../policy/request.ts'

export interface RoutesDependencies {
  readonly containers: Containers
  readonly starter: Starter
  /** Absent where the configuration has no templates. */
  readonly made: MadeContainers | undefined
  readonly policy: Policy
  /** Taken off host names: ".ctr". */
  readonly hostSuffixes: readonly string[]
  readonly emit: (event: PolicyEvent | ContainerEvent) => void
}

export type Requester = Pick<Request, 'identity' | 'origin'>

export interface Routes {
  routeFor(login: RequestedLogin): Route
  /** The container that a route names. @throws HatchwayError CONTAINER_NOT_FOUND (also for one they may not enter), ... */
  find(who: Requester, route: Route, signal: AbortSignal): Promise<Container>
  /**
   * Does this route lead anywhere? Returns the container, if the route names one.
   * @throws HatchwayError
   */
  check(who: Requester, route: Route, signal: AbortSignal): Promise<Container | undefined>
  mayEnter(who: Requester): (container: Container | ContainerSummary) => Promise<boolean>
  /** The user inside, who may be entered as. @throws HatchwayError */
  inside(who: Requester, container: Container, user: string | undefined, signal: AbortSignal): Promise<Target>
  /**
   * The container itself, or, where nothing of ours can start in it, as it is with another one beside it, which they may have put there.
   * @throws HatchwayError NOT_PERMITTED, ...
   */
  accompanied(who: Requester, container: Container, tell: Tell, signal: AbortSignal): Promise<Container>
  /** May they be in what is beside it? @throws HatchwayError NOT_PERMITTED */
  demandDebug(who: Requester, container: Container): Promise<void>
  /** The container that a template would be made into. A template they may not use is not there. @throws HatchwayError */
  plan(who: Requester, route: TemplateRoute): Promise<Plan>
  /** Does their login name nothing, or a word that is no container? */
  isToGateway(who: Requester, signal: AbortSignal): Promise<boolean>
  /** What they may pick. @throws HatchwayError ENGINE_* */
  entries(who: Requester, signal: AbortSignal): AsyncIterable<PickerEntry>
  /** Why there may be more than `entries` has, as sentences. */
  unanswered(who: Requester): Promise<string[]>
}

export function createRoutes(deps: RoutesDependencies): Routes {
  const { containers, policy, made } = deps
  const routeFor = (login: RequestedLogin) => routeOf(login, deps.hostSuffixes)
  const mayEnter = (who: Requester) => async (container: Container | ContainerSummary) =>
    (await policy({ ...who, container, action: { kind: 'enter' } })).allowed

  async function find(who: Requester, route: Route, signal: AbortSignal): Promise<Container> {
    if (!('container' in route)) throw namesNoContainer(route)
    return containers.resolve(route.container, mayEnter(who), signal, who.origin.host !== undefined)
  }

  /** Running or not. */
  async function resolve(who: Requester, route: Route, signal: AbortSignal): Promise<Container> {
    const container = await find(who, route, signal)
    // Before somebody enters nothing is put beside it, and there is nobody to ask for the user.
    if (container.beside === undefined) await inside(who, container, route.user, signal)
    return container
  }

  async function inside(
    who: Requester,
    container: Container,
    user: string | undefined,
    signal: AbortSignal,
  ): Promise<Target> {
    const info = await containers.envInfo(container, user, who.identity.name, signal)
    await demandEntry(policy, { ...who, container, user: info }, deps.emit)
    return { container, info }
  }

  async function demandDebug(who: Requester, container: Container): Promise<void> {
    if (container.beside === undefined) return
    const asked: Request = { ...who, container, action: { kind: 'debug' } }
    const decision = await policy(asked)
    if (decision.allowed) return
    deps.emit(policyEvent('refused', asked, decision))
    throw new HatchwayError('NOT_PERMITTED', decision.reason)
  }

  async function accompanied(
    who: Requester,
    container: Container,
    tell: Tell,
    signal: AbortSignal,
  ): Promise<Container> {
    await demandDebug(who, container)
    if (container.beside !== 'needed') return container
    const { name } = container
    tell(`container ${name} has no shell: putting a debug container beside it, which stays in its pod ...`)
    const found = await containers.accompanied(container, (words) => tell(`container ${name}: ${words}`), signal)
    deps.emit({ type: 'container', action: 'accompanied', container: containerFacts(found), whose: whoseOf(who) })
    tell(`you are in the debug container; the files of ${name} are in /proc/1/root, or of another process there`)
    return found
  }

  async function plan(who: Requester, route: TemplateRoute): Promise<Plan> {
    const { name: template, kind } = route.template
    const found = made?.plan(route, templateOwner(who.identity))
    const action = { kind: 'create', template, personal: kind === 'personal' } as const
    const decision = found && (await policy({ ...who, container: plannedContainer(found), action }))
    if (!found || !decision?.allowed) throw noTemplate(template)
    return found
  }

  async function check(who: Requester, route: Route, signal: AbortSignal): Promise<Container | undefined> {
    try {
      if (!('template' in route)) return await resolve(who, route, signal)
      await plan(who, route)
      return undefined
    } catch (error) {
      const failure = asHatchwayError(error)
      if (!asksForGateway(route, failure.code !== 'CONTAINER_NOT_FOUND')) throw error
      // To jump and to pick there must be something.
      const { done } = await entries(who, signal).next()
      if (done) throw error
      return undefined
    }
  }

  async function isToGateway(who: Requester, signal: AbortSignal): Promise<boolean> {
    const route = routeFor(who.origin)
    if (!('container' in route && route.bare)) return asksForGateway(route, false)
    const found = await find(who, route, signal).catch(asHatchwayError)
    return asksForGateway(route, !isFailure(found, 'CONTAINER_NOT_FOUND'))
  }

  async function* entries(who: Requester, signal: AbortSignal): AsyncGenerator<PickerEntry> {
    for await (const container of containers.visible(mayEnter(who), signal)) {
      const mayStart =
        deps.starter.canStart(container) && (await policy({ ...who, container, action: { kind: 'start' } })).allowed
      yield containerEntry(container, mayStart)
    }
    for (const name of made?.names ?? []) {
      for (const kind of ['fresh', 'personal'] as const) {
        const planned = await plan(who, { template: { name, kind } }).catch(() => undefined)
        if (planned) yield templateEntry(name, kind, planned.spec.image)
      }
    }
  }

  const unanswered = (who: Requester) => containers.unanswered(mayEnter(who))

  return { routeFor, find, check, mayEnter, inside, demandDebug, accompanied, plan, isToGateway, entries, unanswered }
}

function namesNoContainer(route: Route): HatchwayError {
  if ('template' in route) return noTemplate(route.template.name)
  return new HatchwayError(
    'CONTAINER_NOT_FOUND',
    'no container named: ssh USER@CONTAINER@GATEWAY, see `ssh GATEWAY ls`',
  )
}
