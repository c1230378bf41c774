/** `hatchway config schema`. */
import { configJsonSchema } from '../config/schema.ts'

export function configSchemaText(): string {
  return `${JSON.stringify(configJsonSchema(), null, 2)}\n`
}
