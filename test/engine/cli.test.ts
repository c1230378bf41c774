import { createCliEngine } from '../../src/engine/cli/cli.ts'
import { docker } from '../support/containers.ts'
import { contract } from './contract.ts'
import { noConsoleSize } from './skips.ts'

contract({
  name: 'engine cli: docker',
  skip: await noConsoleSize(),
  async open() {
    const engine = createCliEngine({ binary: 'docker' })
    return { engine, control: docker, close: () => engine.close() }
  },
})
