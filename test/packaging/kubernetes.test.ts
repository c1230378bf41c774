/** The Roles of packaging/kubernetes against what the driver asks for: no verb too few, none too many. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import type { ContainerSpec, Engine } from '../../src/engine/engine.ts'
import { createKubernetesEngine } from '../../src/engine/kubernetes/kubernetes.ts'
import { type KubeApi, podJson, startKubeApi } from '../support/kube-api.ts'
import { until } from '../support/wait.ts'

const soon = () => AbortSignal.timeout(20_000)
const folder = join(import.meta.dirname, '../../packaging/kubernetes')

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
}

function allows(...roles: readonly string[]): string[] {
  const rules = roles.flatMap((role) => parse(readFileSync(join(folder, `${role}.yaml`), 'utf8')).rules as Rule[])
  return rules
    .flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}${group && `.${group}`}`)),
      ),
    )
    .sort()
}

async function asked(use: (engine: Engine, api: KubeApi) => Promise<void>): Promise<string[]> {
  const api = await startKubeApi()
  const engine = createKubernetesEngine({ access: api.access, debugImage: 'debug:1' })
  try {
    await use(engine, api)
  } finally {
    await engine.close()
    await api.close()
  }
  // What every account may.
  const everybodys = ['create selfsubjectaccessreviews.authorization.k8s.io']
  return [...api.verbs].filter((verb) => !everybodys.includes(verb)).sort()
}

async function enter(engine: Engine, api: KubeApi): Promise<void> {
  api.set(podJson('web'))
  const stop = new AbortController()
  const following = (async () => {
    for await (const _ of engine.events(stop.signal));
  })()
  await until('it watches', () => api.verbs.has('watch pods'))
  stop.abort()
  await following
  const [web] = await engine.list(soon())
  await engine.inspect(web?.id ?? '', soon())
}

async function make({ lifecycle, marks }: Engine, api: KubeApi): Promise<void> {
  await marks?.put('hatchway-lease-a', soon())
  await marks?.list(soon())
  await marks?.drop('hatchway-lease-a', soon())
  api.firstStatus = () => ({ phase: 'Pending' })
  const spec: ContainerSpec = {
    ...{ name: 'hatchway-t-0123abcd', image: 'node:22', env: [], mounts: [], init: false },
    labels: { 'hatchway.template': 't' },
  }
  const id = (await lifecycle?.create(spec, soon())) ?? ''
  const up = lifecycle?.comesUp?.(id, () => {}, soon())
  await until('it waits', () => api.verbs.has('list events'))
  api.set(podJson(spec.name, { uid: id.split('/')[1] ?? '' }))
  await up
  await lifecycle?.anyInside(id, soon())
  await lifecycle?.logs(id, 10, soon())
  await lifecycle?.remove(id, soon())
}

test('role-exec.yaml is what it takes to enter pods', async () => {
  expect(await asked(enter)).toEqual(allows('role-exec'))
})

test('role-exec.yaml and role-templates.yaml are what it takes to make some, too', async () => {
  const both = await asked(async (engine, api) => {
    await enter(engine, api)
    await make(engine, api)
  })
  expect(both).toEqual(allows('role-exec', 'role-templates'))
})

test('role-exec.yaml and role-debug.yaml are what it takes to enter one without a shell', async () => {
  const both = await asked(async (engine, api) => {
    await enter(engine, api)
    api.withoutShell.add('main')
    api.set(podJson('bare'))
    await engine.beside?.add('shop/uid-bare/main', () => {}, soon())
    expect(await engine.inspect('main.bare.shop', soon())).toMatchObject({ beside: 'used' })
  })
  expect(both).toEqual(allows('role-exec', 'role-debug'))
})
