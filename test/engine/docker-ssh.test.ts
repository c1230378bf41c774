/** The whole contract, over an ssh program that runs its command here: docker's own `system dial-stdio` is real. */
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import { parseSshAddress } from '../../src/engine/docker/ssh-stream.ts'
import { docker } from '../support/containers.ts'
import { fakeSsh, RUN_IT_HERE } from '../support/fake-ssh.ts'
import { contract } from './contract.ts'
import { noConsoleSize } from './skips.ts'

contract({
  name: 'engine docker over ssh',
  skip: [
    ...(await noConsoleSize()),
    {
      reason: 'nothing says that the far end of ssh is this host',
      tests: ['names its product, version and architecture'],
    },
  ],
  async open() {
    const endpoint = parseSshAddress('ssh://here')
    if (!endpoint) throw new Error('no address')
    const ssh = await fakeSsh(RUN_IT_HERE)
    const engine = createDockerEngine({ endpoint })
    const close = async () => {
      await engine.close()
      await ssh.close()
    }
    return { engine, control: docker, close }
  },
})
