/** Where containers are: one engine, or several by name. A driver adds its kind and its keys here, and to engine/kinds.ts. */
import { z } from 'zod'
import { fileName, text } from './primitives.ts'

const endpoint = text
  .regex(
    /^(\/|unix:\/\/\/|(tcp|https|ssh):\/\/[^/])/,
    'expected unix:///PATH, tcp://HOST:PORT, https://HOST:PORT or ssh://USER@HOST',
  )
  .optional()

const ALONE = ['auto', 'docker', 'cli', 'containerd', 'kubernetes'] as const
const kind = z
  .enum(ALONE, {
    error: ({ input }) =>
      input === 'swarm' ? 'a swarm is one of engines: `engines: { NAME: { kind: swarm, endpoint: ... } }`' : undefined,
  })
  .default('auto')
const cli = text.optional()
const socket = fileName.regex(/^\//, 'expected an absolute path such as /run/containerd/containerd.sock').optional()
const namespace = z
  .string()
  .regex(/^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$/, 'expected a name such as default or k8s.io')
  .optional()
const debugImage = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9._\-/:@]{0,255}$/, 'expected an image such as busybox:1.36')
const namespaces = z
  .array(z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'expected the name of a namespace'))
  .min(1)

export const engine = z.strictObject({
  kind: kind.describe(
    'docker: the Engine API socket. cli: a docker-compatible command line. containerd: its own socket, without Docker. kubernetes: the pods of a cluster (docs/kubernetes.md). auto: the one named below, else the first that exists.',
  ),
  endpoint: endpoint.meta({
    description:
      'Where the Engine API is; at ssh://USER@HOST the ssh program of this machine runs `docker system dial-stdio`. Default: DOCKER_HOST, else the docker context, else the usual sockets of Docker and Podman. With kind: cli it is given to the command line program; default: what that finds itself.',
    examples: ['unix:///var/run/docker.sock'],
  }),
  cli: cli.meta({
    description:
      'The command line program of the cli engine. Default: docker, else podman, else nerdctl, as installed.',
    examples: ['docker'],
  }),
  socket: socket.meta({
    description: 'The socket of containerd. Default: /run/containerd/containerd.sock.',
    examples: ['/run/k3s/containerd/containerd.sock'],
  }),
  namespace: namespace.meta({
    description:
      'The namespace of containerd whose containers are served. Default: default, which is that of ctr and nerdctl.',
    examples: ['k8s.io'],
  }),
  kubeconfig: fileName.optional().meta({
    description:
      'With kind: kubernetes, how its API server is reached. Default: KUBECONFIG, else ~/.kube/config, else the service account of the pod that the gateway runs in.',
    examples: ['/etc/hatchway/kubeconfig'],
  }),
  context: text.optional().meta({
    description: 'The context of the kubeconfig. Default: its current-context.',
    examples: ['prod'],
  }),
  namespaces: namespaces.optional().meta({
    description: 'The namespaces of Kubernetes whose pods are served. Default: the one of the context.',
    examples: [['shop', 'lab']],
  }),
  debugImage: debugImage.optional().meta({
    description:
      'With kind: kubernetes, the image of an ephemeral container beside one that has no shell, for logins whose rules allow debug. It stays in the pod. Default: there is none.',
    examples: ['registry.example/debug:1'],
  }),
})

const tls = z
  .strictObject({
    ca: fileName.optional().meta({
      description: 'Authorities that may have signed the certificate of the engine. Default: those of node.',
      examples: ['/etc/hatchway/build1/ca.pem'],
    }),
    cert: fileName.optional().meta({
      description: 'The certificate that the engine is shown.',
      examples: ['/etc/hatchway/build1/cert.pem'],
    }),
    key: fileName.optional().meta({
      description: 'The key of that certificate.',
      examples: ['/etc/hatchway/build1/key.pem'],
    }),
  })
  .refine((files) => (files.cert === undefined) === (files.key === undefined), 'cert and key go together')

const oneOfSeveral = z
  .strictObject({
    kind: z
      .enum([...ALONE, 'swarm'])
      .default('auto')
      .describe('As of `engine`. swarm: all tasks of a Docker Swarm, on whichever of its nodes.'),
    endpoint: endpoint.meta({
      description: 'As of `engine`. Of a swarm: a manager of it.',
      examples: ['tcp://10.0.0.5:2376'],
    }),
    cli: cli.meta({
      description: 'The command line program of the cli engine; at ssh:// the one there that has `system dial-stdio`.',
      examples: ['docker'],
    }),
    socket: socket.meta({ description: 'As of `engine`.', examples: ['/run/k3s/containerd/containerd.sock'] }),
    namespace: namespace.meta({ description: 'As of `engine`.', examples: ['k8s.io'] }),
    kubeconfig: fileName.optional().meta({ description: 'As of `engine`.', examples: ['/etc/hatchway/kubeconfig'] }),
    context: text.optional().meta({ description: 'As of `engine`.', examples: ['prod'] }),
    namespaces: namespaces.optional().meta({ description: 'As of `engine`.', examples: [['shop', 'lab']] }),
    debugImage: debugImage.optional().meta({ description: 'As of `engine`.', examples: ['registry.example/debug:1'] }),
    tls: tls.optional().describe('TLS for tcp://HOST:PORT, in place of DOCKER_CERT_PATH. It is always verified.'),
    nodes: z
      .record(z.string().min(1), endpoint.unwrap())
      .optional()
      .meta({
        description:
          'Of a swarm: the engine of each of its nodes, by the node’s name or id in `docker node ls`, as of endpoint; tls is for them, too. The manager that is asked need not be among them.',
        examples: [{ worker1: 'tcp://10.0.0.6:2376' }],
      }),
  })
  .superRefine((one, context) => {
    const wrong = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
    const isContainerd = one.kind === 'containerd'
    for (const key of ['socket', 'namespace'] as const)
      if (one[key] !== undefined && !isContainerd) wrong(key, 'is for kind containerd')
    for (const key of ['endpoint', 'cli'] as const)
      if (one[key] !== undefined && isContainerd) wrong(key, 'kind containerd has a socket in its place')
    const isKubernetes = one.kind === 'kubernetes'
    for (const key of ['kubeconfig', 'context', 'namespaces', 'debugImage'] as const)
      if (one[key] !== undefined && !isKubernetes) wrong(key, 'is for kind kubernetes')
    for (const key of ['endpoint', 'cli'] as const)
      if (one[key] !== undefined && isKubernetes) wrong(key, 'kind kubernetes has a kubeconfig in its place')
    const places = [one.endpoint ?? '', ...Object.values(one.nodes ?? {})]
    if (one.tls && !places.some((place) => /^(tcp|https):/.test(place)))
      wrong('tls', 'is for an endpoint tcp:// or https://')
    if (one.nodes && one.kind !== 'swarm') wrong('nodes', 'is for kind swarm')
    if (one.kind === 'swarm' && one.endpoint === undefined) wrong('endpoint', 'a swarm needs the address of a manager')
    if (one.kind === 'swarm' && one.cli !== undefined) wrong('cli', 'a swarm is asked by its API')
    if (one.tls && one.kind === 'cli') wrong('tls', 'is for the API; a command line program has its own settings')
  })

/** As a part of a container's full name ("web.build1") it has no dot, and no capital, which clients make small. */
const ENGINE_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

export const engines = z
  .record(z.string().regex(ENGINE_NAME, 'expected a name of small letters, digits and dashes'), oneOfSeveral)
  .refine((all) => Object.keys(all).length > 0, 'name one at least')
