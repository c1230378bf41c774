/** How containers are reached, chosen, started and made. */
import { z } from 'zod'
import { engine, engines } from './engines.ts'
import { picker } from './picker.ts'
import { duration } from './primitives.ts'
import { templates } from './templates.ts'

export const containers = z.strictObject({
  engine: engine.prefault({}).describe('The container engine.'),
  engines: engines
    .optional()
    .describe(
      'Several engines, in place of `engine`, each by a name of small letters, digits and dashes (docs/engines.md). The name is a part of full names of containers: ssh dev@web.build1. The first makes what templates name no engine for.',
    ),
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
