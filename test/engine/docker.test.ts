import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import { docker } from '../support/containers.ts'
import { contract } from './contract.ts'
import { noConsoleSize } from './skips.ts'

contract({
  name: 'engine docker on dockerd',
  skip: await noConsoleSize(),
  async open() {
    const engine = createDockerEngine({ endpoint: 'unix:///var/run/docker.sock' })
    return { engine, control: docker, close: () => engine.close() }
  },
})
