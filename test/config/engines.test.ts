/** Several engines in the configuration: what each may say, and what does not go together. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ConfigError, loadConfig } from '../../src/config/load.ts'

const folder = mkdtempSync(join(tmpdir(), 'hw-test-engines-'))
afterAll(() => rmSync(folder, { recursive: true }))

function load(text: string) {
  const file = join(folder, 'hatchway.yaml')
  writeFileSync(file, text)
  return loadConfig({ file, env: { HOME: folder } }).config
}

function problems(text: string): readonly string[] {
  try {
    load(text)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((problem) => problem.replace(`${folder}/`, ''))
    throw error
  }
  return []
}

test('each has the keys of engine, and files are relative to the configuration', () => {
  const { engines, engine } = load(
    'engine: { kind: auto }\nengines:\n  laptop: {}\n  build-1: { kind: docker, endpoint: "tcp://h:2376", tls: { ca: ca.pem } }\n',
  )
  expect(engine.kind).toBe('auto')
  expect(engines).toEqual({
    laptop: { kind: 'auto' },
    'build-1': { kind: 'docker', endpoint: 'tcp://h:2376', tls: { ca: join(folder, 'ca.pem') } },
  })
  expect(load('{}').engines).toBeUndefined()
})

test.each([
  [
    'engine: { kind: cli }\nengines: { a: {} }',
    /^hatchway.yaml:1: engine.kind: is for one engine, and engines names several: leave/,
  ],
  ['engine: { endpoint: /run/d.sock }\nengines: { a: {} }', /^hatchway.yaml:1: engine.endpoint: is for one engine/],
  ['engine: { kind: swarm }', /^hatchway.yaml:1: engine.kind: a swarm is one of engines: `engines: \{ NAME: /],
  ['engine: { kind: swarmm }', /^hatchway.yaml:1: engine.kind: expected one of auto, docker, .*got "swarmm"/],
  ['engine: { endpoint: "http://x" }', /engine.endpoint: expected unix:.*https:/],
  ['engines:\n  a: { endpoint: "http://x" }', /^hatchway.yaml:2: engines.a.endpoint: expected unix:/],
  ['engines: {}', /^hatchway.yaml:1: engines: name one at least/],
  ['engines:\n  Build: {}', /^hatchway.yaml:2: engines.Build: expected a name of small letters, digits and dashes/],
  ['engines:\n  a.b: {}', /expected a name of small letters/],
  ['engines:\n  a: { socket: /x }', /engines.a.socket: is for kind containerd/],
  ['engines:\n  a: { endpoint: "tcp://h:1", tls: { cert: c } }', /engines.a.tls: cert and key go together/],
  ['engines:\n  a: { endpoint: /run/d.sock, tls: {} }', /engines.a.tls: is for an endpoint tcp/],
  ['engines:\n  a: { kind: cli, endpoint: "tcp://h:1", tls: {} }', /engines.a.tls: is for the API/],
  [
    'engines:\n  a: {}\ntemplates:\n  n: { image: i, engine: b }',
    /^hatchway.yaml:4: templates.n.engine: expected one of the names under engines/,
  ],
  ['engines:\n  a: { kind: containerd, endpoint: "tcp://h:1" }', /engines.a.endpoint: kind containerd has a socket/],
  ['engine: { kind: containerd, socket: run/x }', /^hatchway.yaml:1: engine.socket: expected an absolute path/],
  ['engines:\n  a: { kind: containerd, socket: run/x }', /engines.a.socket: expected an absolute path/],
  ['engines:\n  a: { kind: containerd, namespace: a/b }', /engines.a.namespace: expected a name such as/],
  ['templates:\n  n: { image: i, engine: b }', /templates.n.engine: expected one of the names under engines/],
  [
    'engine: { kind: kubernetes }\ntemplates:\n  n: { image: i, user: dev }',
    /^hatchway.yaml:3: templates.n.user: of a pod is a number: uid or uid:gid/,
  ],
  ['engine: { kind: kubernetes }\ntemplates:\n  n: { image: i, network: web }', /templates.n.network: a pod has the/],
  ['engine: { kind: kubernetes }\ntemplates:\n  n: { image: i, init: true }', /templates.n.init: a pod has none/],
  [
    'engine: { kind: kubernetes }\ntemplates:\n  n: { image: i, limits: { pids: 5 } }',
    /templates.n.limits.pids: is the/,
  ],
  [
    'engines:\n  k: { kind: kubernetes }\ntemplates:\n  n: { image: i, init: true }',
    /templates.n.init: a pod has none/,
  ],
  ['templates:\n  n: { image: i, pod: {} }', /templates.n.pod: is for kind kubernetes/],
  [
    'engine: { kind: kubernetes }\ntemplates:\n  n: { image: i, pod: { metadata: { labels: { hatchway.owner: x } } } }',
    /templates.n.pod.metadata.labels.hatchway.owner: .*not ours/,
  ],
  [
    'engine: { kind: kubernetes }\ntemplates:\n  n: { image: i, pod: { spec: { containers: [{ image: x }] } } }',
    /templates.n.pod.spec.containers.0.name: /,
  ],
  ['engine: { kind: kubernetes }\ntemplates:\n  n: { image: i, pod: { sepc: {} } }', /templates.n.pod: .*sepc/],
])('%s', (text, expected) => expect(problems(`${text}\n`)).toEqual([expect.stringMatching(expected)]))

test('--engine beside engines is told by its own name', () => {
  const file = join(folder, 'hatchway.yaml')
  writeFileSync(file, 'engines: { a: {} }\n')
  const flags = [{ key: ['engine', 'kind'], flag: '--engine', value: 'cli' }]
  const loading = () => loadConfig({ file, env: { HOME: folder }, flags })
  expect(loading).toThrow(
    /^--engine: engine.kind: is for one engine, and engines names several: leave one of them out$/,
  )
})
