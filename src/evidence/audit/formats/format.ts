/**
 * How a record stands in its line. In every format the record itself is there, as one object with the chain's `seq` and
 * `prev` in front: what checks and searches a trail reads that. Other formats have it where their schema keeps room for
 * what it does not know, and beside it what a reader of that schema looks for.
 */
import { recordText } from '../chain.ts'
import { ecsFields } from './ecs.ts'
import type { RecordFields } from './fields.ts'
import { ocsfFields } from './ocsf.ts'

export interface TrailFormat {
  /** What a line begins with, up to the chain's fields. */
  readonly opening: string
  /** A record as JSON text that begins so. */
  text(record: RecordFields): string
}

export const FORMATS: Readonly<Record<'hatchway' | 'ecs' | 'ocsf', TrailFormat>> = {
  hatchway: { opening: '{', text: recordText },
  // A field set under a proper name is what ECS advises for what is not in it.
  ecs: { opening: '{"hatchway":{', text: (record) => recordText({ hatchway: record, ...ecsFields(record) }) },
  ocsf: { opening: '{"unmapped":{', text: (record) => recordText({ unmapped: record, ...ocsfFields(record) }) },
}
