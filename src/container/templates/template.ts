/** A template of the configuration and the identity that it is for → the container to be made. Pure. */
import { createHash, randomBytes } from 'node:crypto'
import { HatchwayError } from '../../base/errors.ts'
import { clientText } from '../../base/printable.ts'
import type { Template } from '../../config/schema.ts'
import type { ContainerSpec, ContainerSummary } from '../../engine/engine.ts'
import { brief } from '../find.ts'
import type { TemplateRoute } from '../route.ts'

export const LABELS = {
  template: 'hatchway.template',
  kind: 'hatchway.kind',
  /** Whom it was made for; the policy lets nobody else in. */
  owner: 'hatchway.owner',
  /** That person's name, for people: nothing is decided by it. */
  ownerName: 'hatchway.owner.name',
  /** What it was made from; another hash: the template was changed since. */
  recipe: 'hatchway.recipe',
  gateway: 'hatchway.gateway',
  instance: 'hatchway.instance',
  /** Instance.folder of its maker. */
  folder: 'hatchway.instance.folder',
  /** Does its maker hold a lease on the engine while it lives? */
  lease: 'hatchway.lease',
} as const

export const LEASED = 'volume'
export const NOT_LEASED = 'none'

/** Of a fresh one whose gateway never comes back, on an engine that can see to it. */
const FRESH_SECONDS = 24 * 60 * 60

/** Ends at once on TERM, also as process 1, and reaps what sessions leave behind. */
const WAIT = ['/bin/sh', '-c', "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done"] as const

export interface Owner {
  /** policy/owner.ts's ownerOf */
  readonly id: string
  readonly name: string
}

export interface Plan {
  readonly template: Template
  readonly templateName: string
  readonly personal: boolean
  readonly owner: string
  readonly spec: ContainerSpec
}

/**
 * @param marks labels that say which gateway made it
 * @throws HatchwayError CONTAINER_NOT_FOUND
 */
export function planContainer(
  templates: Readonly<Record<string, Template>>,
  { template: { name, kind } }: TemplateRoute,
  owner: Owner,
  marks: Readonly<Record<string, string>>,
): Plan {
  const template = Object.hasOwn(templates, name) ? templates[name] : undefined
  if (!template) throw noTemplate(name)
  const personal = kind === 'personal'
  const suffix = personal ? hash([owner.id, name]).slice(0, 12) : randomBytes(4).toString('hex')
  const argv = template.command ?? WAIT
  const [program, ...rest] = argv
  const { user, workdir, network, limits } = template
  return {
    template,
    templateName: name,
    personal,
    owner: owner.id,
    spec: {
      name: `hatchway-${name}-${suffix}`,
      image: template.image,
      ...(program !== undefined && { argv: [program, ...rest] }),
      ...(user !== undefined && { user }),
      ...(workdir !== undefined && { workdir }),
      ...(network !== undefined && { network }),
      ...(limits.memory !== undefined && { memory: limits.memory }),
      ...(limits.cpus !== undefined && { cpus: limits.cpus }),
      ...(limits.pids !== undefined && { pids: limits.pids }),
      env: Object.entries(template.env).map(([key, value]) => `${key}=${value}`),
      labels: {
        ...template.labels,
        ...marks,
        [LABELS.template]: name,
        [LABELS.kind]: kind,
        [LABELS.owner]: owner.id,
        [LABELS.ownerName]: clientText(owner.name),
        [LABELS.recipe]: hash(template).slice(0, 16),
      },
      mounts: template.mounts.map(({ type, source, target, readOnly }) => ({
        type,
        target,
        readOnly,
        ...(source !== undefined && { source: source.replaceAll('{owner}', owner.id) }),
      })),
      init: template.init,
      pull: template.pull,
      ...(!personal && { atMostSeconds: FRESH_SECONDS }),
      ...(template.pod && { pod: template.pod }),
    },
  }
}

/** Whether a fresh container of this template would be called so. */
export function isFreshName(name: string, template: string): boolean {
  return name.startsWith(`hatchway-${template}-`) && /^[0-9a-f]{8}$/.test(name.slice(`hatchway-${template}-`.length))
}

/** As the policy sees it before there is one. */
export function plannedContainer({ spec, template: { engine } }: Plan): ContainerSummary {
  const { name, image, labels } = spec
  return {
    id: '',
    name,
    image,
    state: 'created',
    status: '',
    createdAt: 0,
    labels,
    ports: [],
    mounts: [],
    ...(engine !== undefined && { engine }),
  }
}

/** The same words for one that is not there and for one that is not for them. */
export function noTemplate(name: string): HatchwayError {
  return new HatchwayError('CONTAINER_NOT_FOUND', `no template "${brief(name)}"`)
}

function hash(of: object): string {
  return createHash('sha256').update(JSON.stringify(of)).digest('hex')
}
