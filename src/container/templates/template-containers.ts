/**
 * Containers made from templates. A fresh one is made for a connection, or a round of a session, and goes with it; a personal one is kept for its
 * owner. What a killed gateway left is removed by the next one of its installation.
 */

import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { containerFacts, type Whose } from '../../base/connection-facts.ts'
import { inWords } from '../../base/duration.ts'
import { asHatchwayError, HatchwayError, undefinedIf } from '../../base/errors.ts'
import type { Instance } from '../../base/instance.ts'
import { plural } from '../../base/plural.ts'
import type { Template } from '../../config/schema.ts'
import { type Container, type Engine, enginesOf, type Lifecycle, type PullProgress } from '../../engine/engine.ts'
import { engineLimit, imageUnavailable } from '../../engine/messages.ts'
import { deadline, whileHeard } from '../../lifetime/deadline.ts'
import { onAbort, unlessAborted } from '../../lifetime/on-abort.ts'
import type { EmitContainerEvent } from '../container-event.ts'
import type { TemplateRoute } from '../route.ts'
import { LABELS, type Owner, type Plan, planContainer } from './template.ts'

export interface MakeLimits {
  /** Of each step but the pull. */
  readonly stepMs: number
  /** A pull takes as long as it takes while something comes; a CLI tells of a layer only when it has all of it. */
  readonly silentPullMs: number
}

const LIMITS: MakeLimits = { stepMs: 120_000, silentPullMs: 15 * 60_000 }
const REMOVE_MS = 60_000
/** Also for what could not be removed when its connection ended. */
const SWEEP_EVERY_MS = 5 * 60_000
const SWEEP_AGAIN_MS = 15_000
const TELL_EVERY_MS = 1000

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
  limits: MakeLimits = LIMITS,
): MadeContainers {
  const step = () => deadline(engineLimit('making a container', limits.stepMs))
  const removal = (...signals: AbortSignal[]) => deadline(engineLimit('removing a container', REMOVE_MS), ...signals)
  const marks = { [LABELS.gateway]: instance.gateway, [LABELS.instance]: instance.id }
  const making = new Map<string, Promise<Container>>()
  /** By what a fresh one goes with: a connection's end or a round's. */
  const freshOf = new WeakMap<AbortSignal, Promise<Container>>()
  /** Names of fresh ones that are wanted, from before they are made, of which template and owner they are, and the engine that makes each. */
  const fresh = new Map<string, { readonly ofOne: string; readonly lifecycle: Lifecycle }>()
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
    const lifecycle = lifecycleOf(makerOf(plan.template))
    fresh.set(name, { ofOne, lifecycle })
    const made = make(plan, lifecycle, closed, tell, whose)
    freshOf.set(closed, made)
    made.catch(() => freshOf.delete(closed))
    // Only once the making is over, whoever waits for it: what an engine makes after its removal would stay.
    const gone = new Promise((resolve) => onAbort(closed, resolve))
    const over = made.then(() => gone).catch(() => undefined)
    void over.then(() => {
      const removed = remove(name, lifecycle, whose).finally(() => removals.delete(removed))
      removals.add(removed)
    })
    return made
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
    if (known) return known
    try {
      return await make(plan, lifecycleOf(makerOf(plan.template)), stopped.signal, tell, whose)
    } catch (error) {
      // Another gateway may have been faster: the name was taken.
      const theirs = await existing(plan, tell)
      if (theirs) return theirs
      throw error
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
    if (template.pull === 'always') await pull(lifecycle, spec.image, closed, tell)
    const id = await lifecycle.create(spec, step()).catch(async (error: unknown) => {
      if (template.pull !== 'missing' || asHatchwayError(error).code !== 'IMAGE_UNAVAILABLE') throw error
      await pull(lifecycle, spec.image, closed, tell)
      return lifecycle.create(spec, step())
    })
    const container = { id, name: spec.name, image: spec.image }
    emit({ type: 'container', action: 'made', container, template: templateName, ...(whose && { whose }) })
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

  async function remove(name: string, lifecycle: Lifecycle, whose?: Whose): Promise<void> {
    try {
      await lifecycle.remove(name, removal())
      emit({ type: 'container', action: 'removed', container: { id: '', name }, ...(whose && { whose }) })
    } catch (error) {
      log.warn({ container: name, err: error }, 'a container could not be removed; it is tried again')
      left.set(name, lifecycle)
    }
    fresh.delete(name)
  }

  /** What nobody wants any more: of processes of this installation that are gone, and what `remove` could not remove. */
  async function sweep(one: Engine): Promise<void> {
    if (!one.lifecycle) return
    for (const container of await one.list(removal(stopped.signal))) {
      const { id, name, labels } = container
      if (labels[LABELS.gateway] !== instance.gateway || labels[LABELS.kind] !== 'fresh') continue
      const maker = labels[LABELS.instance] ?? ''
      if (maker === instance.id ? fresh.has(name) : await instance.lives(maker)) continue
      await one.lifecycle.remove(id, removal(stopped.signal))
      left.delete(name)
      emit({ type: 'container', action: 'swept', container: containerFacts(container) })
    }
  }

  /** One engine that is away keeps no other from being swept. */
  async function sweepAll(): Promise<void> {
    const swept = await Promise.allSettled(enginesOf(engine).map(sweep))
    const failed = swept.find((one) => one.status === 'rejected')
    if (failed) throw failed.reason
  }

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
      const swept = await sweepAll()
        .then(sweepLeft)
        .then(
          () => true,
          (error: unknown) => {
            log.debug({ err: error }, 'could not sweep')
            return false
          },
        )
      await delay(swept ? SWEEP_EVERY_MS : SWEEP_AGAIN_MS, undefined, { signal: stopped.signal, ref: false }).catch(
        () => {},
      )
    }
  }
  if (enginesOf(engine).some((one) => one.lifecycle)) void sweepAgainAndAgain()

  return {
    names: Object.keys(templates),
    plan: (route, owner) => planContainer(templates, route, owner, marks),
    container: async (plan, closed, tell, signal, whose) =>
      unlessAborted(plan.personal ? forOwner(plan, tell, whose) : untilClosed(plan, closed, tell, whose), signal),
    async close() {
      stopped.abort()
      await Promise.all([...removals, ...[...fresh].map(([name, { lifecycle }]) => remove(name, lifecycle))])
    },
  }
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
