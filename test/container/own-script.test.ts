/** What a container's shell may do to a few lines of ours: hang, say more than it was asked for, be none. */
import { expect, test } from 'vitest'
import { runOwnScript } from '../../src/container/own-script.ts'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import { deadline } from '../../src/lifetime/deadline.ts'
import { startContainer } from '../support/containers.ts'

const engine = createDockerEngine({ endpoint: 'unix:///var/run/docker.sock' })
const ABOUT = { script: 'echo asked', args: [], user: '0:0', maxBytes: 100 }

test.each([
  ['hangs', 'exec sleep 60', { code: 'ENGINE_TIMEOUT', message: expect.stringContaining('shell of the container') }],
  ['says too much', 'exec yes', { code: undefined, out: Buffer.from(`${'y\n'.repeat(50)}y`) }],
  ['says it elsewhere', 'yes >&2 | exit 3', { code: 'ENGINE_TIMEOUT' }],
  ['is none', '', { code: 127, out: Buffer.alloc(0) }],
])('a shell that %s', async (_, does, outcome) => {
  const container = await startContainer('busybox')
  try {
    await container.inside(
      `rm /bin/sh; ${does && `printf '#!/bin/busybox ash\\n${does}\\n' >/bin/sh; chmod 755 /bin/sh`}`,
    )
    const said = await runOwnScript(engine, container.id, ABOUT, deadline(20_000), 1000).catch(
      (error: unknown) => error,
    )
    expect(said).toMatchObject(outcome)
  } finally {
    await container.remove()
  }
})
