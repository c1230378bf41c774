/** What the template that a container was made from wants to be recorded in it. */
import type { RecordSetting } from '../../config/recording.ts'
import type { FixedConfig } from '../../config/schema.ts'
import type { ContainerSummary } from '../../engine/engine.ts'
import { LABELS } from './template.ts'

export function templateRecord({
  templates = {},
}: Pick<FixedConfig, 'templates'>): (container: Pick<ContainerSummary, 'labels'>) => RecordSetting | undefined {
  return ({ labels }) => {
    const name = labels[LABELS.template]
    return name !== undefined && Object.hasOwn(templates, name) ? templates[name]?.record : undefined
  }
}
