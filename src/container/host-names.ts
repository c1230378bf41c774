/** Which names of containers can be hosts of somebody's ssh. Whoever makes a container chooses its names. Pure. */
import { HatchwayError } from '../base/errors.ts'
import type { ContainerSummary } from '../engine/engine.ts'
import { fullName } from '../engine/ref.ts'
import { createFinder } from './find.ts'
import { type Aliases, namesOf } from './names.ts'

export interface ContainerHost {
  readonly name: string
  /** The container that the name means runs now. */
  readonly running: boolean
}

/** Names that engines accept, without pattern characters, blanks and quotes. */
const PLAIN_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$/

export function isHostName(name: string): boolean {
  return PLAIN_NAME.test(name)
}

/** Returns each plain name that means one of `visible`, sorted; a name that the gateway would refuse as ambiguous is none. */
export function containerHosts(visible: readonly ContainerSummary[], aliases: Aliases): ContainerHost[] {
  const names = new Set(visible.flatMap((container) => namesOf(container, aliases)).filter(isHostName))
  const find = createFinder(visible, { aliases, host: true })
  return [...names].sort().flatMap((name) => {
    const meant = meantBy(name, find)
    if (!meant) return []
    // The engine is only named where it must be.
    const isLong = meant.engine !== undefined && name === fullName(meant) && meantBy(meant.name, find) === meant
    return isLong ? [] : [{ name, running: meant.state === 'running' }]
  })
}

function meantBy(name: string, find: (ref: string) => ContainerSummary): ContainerSummary | undefined {
  try {
    return find(name)
  } catch (error) {
    if (error instanceof HatchwayError) return undefined
    throw error
  }
}
