/** `hatchway config check | schema | example`. */
import type { LoadedConfig } from '../config/load.ts'
import { configJsonSchema } from '../config/schema.ts'

/** Loading has thrown already if anything is wrong. */
export function configCheck({ file, warnings }: LoadedConfig): string {
  return `${[...warnings, `${file ?? 'no file: the defaults'}: good`].join('\n')}\n`
}

export function configSchemaText(): string {
  return `${JSON.stringify(configJsonSchema(), null, 2)}\n`
}
