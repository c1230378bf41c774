/**
 * Containers made from templates. A fresh one is made for a connection, or a round of a session, and goes with it; a personal one is kept for its
 * owner. What a killed gateway left, another one removes (leftovers.ts).
 */

import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { containerFacts, type Whose } from '../../base/connection-facts.ts'
import { inWords } from '../../base/duration.ts'
import { asHatchwayError, HatchwayError, undefinedIf } from '../../base/errors.ts'
import type { Instance } from '../../base/instance.ts'
import { plural } from '../../base/plural.ts'
import type { Template } from '../../config/schema.ts'
import {
  type Container,
  type ContainerSpec,
  type Engine,
  enginesOf,
  type Lifecycle,
  type Marks,
  type PullProgress,
} from '../../engine/engine.ts'
import { engineLimit, imageUnavailable, isNameTaken } from '../../engine/messages.ts'
import { deadline, whileHeard } from '../../lifetime/deadline.ts'
import { onAbort, unlessAborted } from '../../lifetime/on-abort.ts'
import type { EmitContainerEvent } from '../container-event.ts'
import type { TemplateRoute } from '../route.ts'
import { createEngineLease, type EngineLease } from './engine-lease.ts'
import { LOOK_EVERY_MS, RENEW_EVERY_MS } from './lease-watch.ts'
import { createLeftovers, madeNameOf } from './leftovers.ts'
import { LABELS, LEASED, NOT_LEASED, type Owner, type Plan, planContainer } from './template.ts'

export interface MakeLimits {
  /** Of each step but the pull. */
  readonly stepMs: number
  /** A pull takes as long as it takes while something comes; a CLI tells of a layer only when it has all of it. */
  readonly silentPullMs: number
  /** Between looks for what was left: usually, and while it is to be found out whether a gateway lives. */
  readonly sweepMs: number
  readonly lookMs: number
  readonly renewMs: number
}

/** A sweep is also for what could not be removed when its connection ended. */
const LIMITS: MakeLimits = {
  stepMs: 120_000,
  silentPullMs: 15 * 60_000,
  sweepMs: 5 * 60_000,
  lookMs: LOOK_EVERY_MS,
  renewMs: RENEW_EVERY_MS,
}
const REMOVE_MS = 60_000
const SWEEP_AGAIN_MS = 15_000
const TELL_EVERY_MS = 1000
/** How long another's container of this name may take from its name to its being there. */
const TAKEN_MS = 10_000
const TAKEN_POLL_MS = 100

export type Tell = (line: string) => void

export interface MadeContainers {
  /** Of the templates. */
  readonly names: readonly string[]
  /** What would be made. @throws HatchwayError CONTAINER_NOT_FOUND */
  plan(route: TemplateRoute, owner: Owner): Plan
  /**
   * The container from this plan, made at the first call; it may not run yet. A fresh one is of `closed`: the same for all
   * calls with this signal, removed when it aborts.
   * @param whose for events
   * @throws HatchwayError CONTAINER_START_FAILED, IMAGE_UNAVAILABLE, NOT_PERMITTED, ENGINE_*
   */
  container(plan: Plan, closed: AbortSignal, tell: Tell, signal: AbortSignal, whose?: Whose): Promise<Container>
  /** Removes every fresh one. */
  close(): Promise<void>
}

export function createMadeContainers(
  engine: Engine,
  templates: Readonly<Record<string, Template>>,
  instance: Instance,
  log: Logger,
  emit: EmitContainerEvent,
  some: Partial<MakeLimits> = {},
): MadeContainers {
  const limits = { ...LIMITS, ...some }
  const step = () => deadline(engineLimit('making a container', limits.stepMs))
  const removal = (...signals: AbortSignal[]) => deadline(engineLimit('removing a container', REMOVE_MS), ...signals)
  const labels = {
    [LABELS.gateway]: instance.gateway,
    [LABELS.instance]: instance.id,
    [LABELS.folder]: instance.folder,
    [LABELS.lease]: NOT_LEASED,
  }
  const making = new Map<string, Promise<Container>>()
  /** By what a fresh one goes with: a connection's end or a round's. */
  const freshOf = new WeakMap<AbortSignal, Promise<Container>>()
  /** Names of fresh ones that are wanted, from before they are made, of which template and owner they are, and the engine that makes each. */
  const fresh = new Map<string, Fresh>()
  /** By the engine that is used, or was. */
  const leases = new Map<Marks, EngineLease>()
  /** What could not be removed from an engine that is not used any more: no list of containers has it. */
  const left = new Map<string, Lifecycle>()
  const removals = new Set<Promise<void>>()
  const stopped = new AbortController()

  /** The engine that makes what a template says. */
  function makerOf({ engine: name }: Pick<Template, 'engine'>): Engine {
    const [first = engine, ...others] = enginesOf(engine)
    return name === undefined ? first : ([first, ...others].find((one) => one.name === name) ?? first)
  }

  function lifecycleOf(maker: Engine): Lifecycle {
    if (maker.lifecycle) return maker.lifecycle
    throw new HatchwayError('NOT_SUPPORTED', 'this container engine cannot make containers')
  }

  function untilClosed(plan: Plan, closed: AbortSignal, tell: Tell, whose?: Whose): Promise<Container> {
    const known = freshOf.get(closed)
    if (known) return known
    closed.throwIfAborted()
    const ofOne = `${plan.templateName} ${plan.owner}`
    if ([...fresh.values()].filter((other) => other.ofOne === ofOne).length >= plan.template.perIdentity) {
      throw new HatchwayError(
        'NOT_PERMITTED',
        `you have ${plural(plan.template.perIdentity, 'container')} from template ${plan.templateName} already`,
      )
    }
    const { name } = plan.spec
    // Another engine may be chosen meanwhile: what this one made only it can remove.
    const maker = makerOf(plan.template)
    const lifecycle = lifecycleOf(maker)
    const { marks } = maker
    const one: Fresh = { ofOne, lifecycle, marks, ref: name }
    fresh.set(name, one)
    const made = leased(plan.spec, marks).then((spec) => make({ ...plan, spec }, lifecycle, closed, tell, whose))
    freshOf.set(closed, made)
    made.catch(() => freshOf.delete(closed))
    // Only once the making is over, whoever waits for it: what an engine makes after its removal would stay.
    const gone = new Promise((resolve) => onAbort(closed, resolve))
    const over = made
      .then(({ id }) => {
        one.ref = id
        return gone
      })
      .catch(() => undefined)
    void over.then(() => {
      const removed = remove(name, one, whose).finally(() => removals.delete(removed))
      removals.add(removed)
    })
    return made
  }

  async function leased(spec: ContainerSpec, marks: Marks | undefined): Promise<ContainerSpec> {
    if (!marks) return spec
    let lease = leases.get(marks)
    if (!lease) {
      const wanted = () => [...fresh.values()].some((one) => one.marks === marks)
      lease = createEngineLease(marks, instance.id, wanted, log, limits.renewMs)
      leases.set(marks, lease)
    }
    return (await lease.held()) ? { ...spec, labels: { ...spec.labels, [LABELS.lease]: LEASED } } : spec
  }

  function forOwner(plan: Plan, tell: Tell, whose?: Whose): Promise<Container> {
    const { name } = plan.spec
    let found = making.get(name)
    if (!found) {
      // Its maker may leave while others wait: nobody's connection ends it.
      found = findOrMake(plan, tell, whose).finally(() => making.delete(name))
      making.set(name, found)
    }
    return found
  }

  async function findOrMake(plan: Plan, tell: Tell, whose?: Whose): Promise<Container> {
    const known = await existing(plan, tell)
    // Asked for only now: another engine may have been chosen meanwhile.
    const lifecycle = lifecycleOf(makerOf(plan.template))
    if (known && !(lifecycle.comesUp && isOver(known))) return comeUp(lifecycle, known, stopped.signal, tell)
    // What has ended is never started again there: it makes room for another.
    if (known) await lifecycle.remove(known.id, removal(stopped.signal))
    try {
      return await make(plan, lifecycle, stopped.signal, tell, whose)
    } catch (error) {
      // Another gateway may have been faster: the name was taken, and what has it is there only when it is made.
      const end = performance.now() + (isNameTaken(error) ? TAKEN_MS : 0)
      for (;;) {
        const theirs = await existing(plan, tell)
        if (theirs) return comeUp(lifecycle, theirs, stopped.signal, tell)
        if (performance.now() > end) throw error
        await delay(TAKEN_POLL_MS, undefined, { signal: stopped.signal }).catch(() => Promise.reject(error))
      }
    }
  }

  async function existing({ spec, template, templateName }: Plan, tell: Tell): Promise<Container | undefined> {
    const found = await makerOf(template).inspect(spec.name, step()).catch(undefinedIf('CONTAINER_NOT_FOUND'))
    if (!found) return undefined
    const same = (label: string) => found.labels[label] === spec.labels[label]
    if (!same(LABELS.template) || !same(LABELS.kind)) {
      throw new HatchwayError('CONTAINER_START_FAILED', `there is a container ${spec.name} that was made otherwise`)
    }
    if (!same(LABELS.recipe)) {
      tell(`template ${templateName} was changed since; your container ${spec.name} is kept until it is removed`)
    }
    return found
  }

  async function make(
    { spec, template, templateName }: Plan,
    lifecycle: Lifecycle,
    closed: AbortSignal,
    tell: Tell,
    whose?: Whose,
  ): Promise<Container> {
    tell(`making container ${spec.name} from template ${templateName} ...`)
    if (spec.pod && !lifecycle.comesUp) {
      throw new HatchwayError('NOT_SUPPORTED', `template ${templateName} has a pod, and this engine makes none`)
    }
    if (template.pull === 'always' && !lifecycle.comesUp) await pull(lifecycle, spec.image, closed, tell)
    const id = await lifecycle.create(spec, step()).catch(async (error: unknown) => {
      if (template.pull !== 'missing' || asHatchwayError(error).code !== 'IMAGE_UNAVAILABLE') throw error
      await pull(lifecycle, spec.image, closed, tell)
      return lifecycle.create(spec, step())
    })
    const container = { id, name: spec.name, image: spec.image }
    emit({ type: 'container', action: 'made', container, template: templateName, ...(whose && { whose }) })
    return comeUp(lifecycle, await engine.inspect(id, step()), closed, tell)
  }

  /** Waits for what comes up by itself, and says for what. One that will not is removed: nothing in it is worth keeping. */
  async function comeUp(
    lifecycle: Lifecycle,
    container: Container,
    closed: AbortSignal,
    tell: Tell,
  ): Promise<Container> {
    if (!lifecycle.comesUp || container.state === 'running') return container
    const { id, name } = container
    const reason = () =>
      new HatchwayError(
        'CONTAINER_START_FAILED',
        `container ${name} does not run after ${inWords(limits.silentPullMs)} of nothing new`,
      )
    try {
      await whileHeard({ ms: limits.silentPullMs, reason }, [closed], (signal, heard) =>
        Promise.resolve(
          lifecycle.comesUp?.(
            id,
            (words) => {
              heard()
              tell(`container ${name}: ${words}`)
            },
            signal,
          ),
        ),
      )
    } catch (error) {
      // An engine that went away says nothing of it.
      if (!asHatchwayError(error).code.startsWith('ENGINE_')) {
        await lifecycle.remove(id, removal()).catch((cause: unknown) => {
          log.warn({ container: name, err: cause }, 'a container that does not run could not be removed')
        })
      }
      throw error
    }
    return engine.inspect(id, step())
  }

  function pull(lifecycle: Lifecycle, image: string, closed: AbortSignal, tell: Tell): Promise<void> {
    const reason = () => imageUnavailable(image, `nothing came for ${inWords(limits.silentPullMs)}`)
    const told = progressTeller(image, tell)
    return whileHeard({ ms: limits.silentPullMs, reason }, [closed], (signal, heard) =>
      lifecycle.pull(
        image,
        (progress) => {
          heard()
          told(progress)
        },
        signal,
      ),
    )
  }

  async function remove(name: string, { lifecycle, ref }: Fresh, whose?: Whose): Promise<void> {
    try {
      await lifecycle.remove(ref, removal())
      emit({ type: 'container', action: 'removed', container: { id: '', name }, ...(whose && { whose }) })
    } catch (error) {
      log.warn({ container: name, err: error }, 'a container could not be removed; it is tried again')
      left.set(name, lifecycle)
    }
    fresh.delete(name)
  }

  const leftovers = createLeftovers(
    engine,
    instance,
    (name) => fresh.has(name),
    (container) => {
      left.delete(madeNameOf(container))
      emit({ type: 'container', action: 'swept', container: containerFacts(container) })
    },
  )

  async function sweepLeft(): Promise<void> {
    for (const [name, lifecycle] of left) {
      // Those of the engine in use are in its list.
      if (enginesOf(engine).some((one) => lifecycle === one.lifecycle)) continue
      try {
        await lifecycle.remove(name, removal(stopped.signal))
        left.delete(name)
        emit({ type: 'container', action: 'swept', container: { id: '', name } })
      } catch (error) {
        log.debug({ container: name, err: error }, 'could not be removed on the engine that made it')
      }
    }
  }

  async function sweepAgainAndAgain(): Promise<void> {
    while (!stopped.signal.aborted) {
      let pause = SWEEP_AGAIN_MS
      try {
        const { soon, failures } = await leftovers.sweep(() => removal(stopped.signal))
        for (const err of failures) log.debug({ err }, 'what was left behind could not be removed; it is tried again')
        await sweepLeft()
        pause = soon ? limits.lookMs : limits.sweepMs
      } catch (error) {
        log.debug({ err: error }, 'could not sweep')
      }
      await delay(pause, undefined, { signal: stopped.signal, ref: false }).catch(() => {})
    }
  }
  if (enginesOf(engine).some(({ lifecycle }) => lifecycle)) void sweepAgainAndAgain()

  return {
    names: Object.keys(templates),
    plan(route, owner) {
      const plan = planContainer(templates, route, owner, labels)
      const name = plan && makerOf(plan.template).name
      // The policy is asked, and the log says, where it is made, also if the template leaves that to us.
      return plan && name !== undefined ? { ...plan, template: { ...plan.template, engine: name } } : plan
    },
    container: async (plan, closed, tell, signal, whose) =>
      unlessAborted(plan.personal ? forOwner(plan, tell, whose) : untilClosed(plan, closed, tell, whose), signal),
    async close() {
      stopped.abort()
      await Promise.all([...removals, ...[...fresh].map(([name, one]) => remove(name, one))])
      await Promise.all([...leases.values()].map((lease) => lease.close()))
    },
  }
}

function isOver({ state }: Container): boolean {
  return state === 'exited' || state === 'dead' || state === 'removing'
}

interface Fresh {
  /** Template and owner. */
  readonly ofOne: string
  readonly lifecycle: Lifecycle
  readonly marks: Marks | undefined
  /** Its name until it is made, then its id: somebody may remove it and give the name to another. */
  ref: string
}

/** A line at most every second, and the last one. */
function progressTeller(image: string, tell: Tell): (progress: PullProgress) => void {
  tell(`pulling image ${image} ...`)
  let told = Date.now()
  return (progress) => {
    const done = progress.layers > 0 && progress.complete === progress.layers
    if (!done && Date.now() - told < TELL_EVERY_MS) return
    told = Date.now()
    const { complete, layers, bytes, total } = progress
    const size = total > 0 ? `, ${megabytes(bytes)} of ${megabytes(total)} MB` : ''
    tell(`pulling image ${image}: ${complete} of ${layers} layers${size}`)
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}
