/** How containers are reached, chosen, started and made. */
import { z } from 'zod'
import { picker } from './picker.ts'
import { duration, text } from './primitives.ts'
import { templates } from './templates.ts'

const engine = z.strictObject({
  kind: z
    .enum(['auto', 'docker', 'cli'])
    .default('auto')
    .describe(
      'docker: the Engine API socket. cli: a docker-compatible command line. auto: the one named below, else the first that exists.',
    ),
  endpoint: text
    .regex(
      /^(\/|unix:\/\/\/|(tcp|https?|ssh):\/\/[^/])/,
      'expected unix:///PATH, tcp://HOST:PORT, https://HOST:PORT or, with kind: cli, ssh://USER@HOST',
    )
    .optional()
    .meta({
      description:
        'Where the Engine API is. Default: DOCKER_HOST, else the docker context, else the usual sockets of Docker and Podman. With kind: cli it is given to the command line program, which may take ssh://USER@HOST as well; default: what that finds itself.',
      examples: ['unix:///var/run/docker.sock'],
    }),
  cli: text.optional().meta({
    description:
      'The command line program of the cli engine. Default: docker, else podman, else nerdctl, as installed.',
    examples: ['docker'],
  }),
})

export const containers = z.strictObject({
  engine: engine.prefault({}).describe('The container engine.'),
  guest: z
    .enum(['auto', 'off', 'require'])
    .default('auto')
    .describe('The guest helper inside containers. auto: where it can be delivered. require: refuse sessions without.'),
  guestMount: z
    .string()
    .regex(/^\//, 'expected an absolute path inside the containers')
    .optional()
    .meta({
      description:
        'Where containers have the helper mounted, if you mount it into them yourself (read-only, executable). Tried first.',
      examples: ['/opt/hatchway-guest'],
    }),
  startOnConnect: z
    .boolean()
    .default(false)
    .describe('Start a stopped container, and unpause a paused one, for a login that may do so.'),
  stopAfter: duration()
    .optional()
    .meta({
      description:
        'Stop a container that the gateway started, that long after the last connection to it ended. Default: it runs on.',
      examples: ['15m'],
    }),
  picker: picker
    .prefault('search')
    .describe(
      'How a terminal asks for the container if the login names none. lines: numbered lines and a typed answer, for everybody; else only for TERM=dumb and clients that send HATCHWAY_PICKER=lines. With { style: search, again: true } it asks again when the session has ended, so that a second factor is typed once.',
    ),
  templates: templates.optional().meta({
    description:
      'Containers that are made on demand: ssh dev@+NAME makes a fresh one, removed with the connection; ssh dev@~NAME makes one that is kept for its owner (docs/connecting.md).',
    examples: [
      {
        node: {
          image: 'node:22',
          user: 'node',
          mounts: [{ type: 'volume', source: 'home-{owner}', target: '/home/node' }],
          limits: { memory: '2g', cpus: 2, pids: 500 },
        },
      },
    ],
  }),
})
