/** The kinds of engines that a configuration may name among several: a driver adds its own here, and to config/engines.ts. */
import { type EngineChoice, openEngine, openSwarm } from './choose.ts'
import type { TlsPaths } from './docker/address.ts'
import type { Engine } from './engine.ts'

/** As the configuration has one of several. */
export interface EngineSettings {
  readonly kind: keyof typeof KINDS
  readonly endpoint?: string | undefined
  readonly cli?: string | undefined
  readonly socket?: string | undefined
  readonly namespace?: string | undefined
  readonly tls?: TlsPaths | undefined
  readonly nodes?: Readonly<Record<string, string>> | undefined
  readonly kubeconfig?: string | undefined
  readonly context?: string | undefined
  readonly namespaces?: readonly string[] | undefined
}

export interface OpenRequest {
  readonly settings: EngineSettings
  /** Where they stand, for sentences: "engines.build1". */
  readonly key: string
  readonly signal: AbortSignal
  readonly env: NodeJS.ProcessEnv
}

/** Opens it without waiting for an answer: it may come later. @throws HatchwayError CONFIG_INVALID */
type OpenKind = (request: OpenRequest) => Promise<Engine>

type ChosenKind = EngineChoice['kind']

const choose =
  (kind: ChosenKind): OpenKind =>
  ({ settings, key, signal, env }) =>
    openEngine({ ...settings, kind, key, lazy: true }, signal, env)

const CHOSEN = {
  auto: choose('auto'),
  docker: choose('docker'),
  cli: choose('cli'),
  containerd: choose('containerd'),
  kubernetes: choose('kubernetes'),
} satisfies Record<ChosenKind, OpenKind>

const swarm: OpenKind = ({ settings, key, env }) => openSwarm({ ...settings, key }, env)

const KINDS = { ...CHOSEN, swarm } satisfies Record<string, OpenKind>

/** As what could stand alone under `engine`; undefined: its kind cannot. */
export function choiceOf(name: string, settings: EngineSettings | undefined): EngineChoice | undefined {
  if (settings === undefined || !isChosen(settings.kind)) return undefined
  return { ...settings, kind: settings.kind, key: `engines.${name}` }
}

function isChosen(kind: string): kind is ChosenKind {
  return Object.hasOwn(CHOSEN, kind)
}

export function openKind(request: OpenRequest): Promise<Engine> {
  return KINDS[request.settings.kind](request)
}
