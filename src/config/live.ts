/** Marks, where a key is defined, that a reload applies it. The reload, the example and the types ask here. */
import { z } from 'zod'

/** Not in z.globalRegistry, whose entries are keywords of the JSON Schema. */
const lives = z.registry<object>()

declare const LIVE: unique symbol
type Live<T> = T & { readonly [LIVE]: true }

/** The names of those keys in a shape of the schema, for the compiler. */
export type LiveKeyOf<Shape> = { [K in keyof Shape]: Shape[K] extends Live<unknown> ? K : never }[keyof Shape]

/** Marks `schema` in place: describe it before. Code that uses such a key reads its value at each use. */
export function live<T extends z.ZodType>(schema: T): Live<T> {
  lives.add(schema, {})
  return schema as Live<T>
}

export function allLive<T extends Readonly<Record<string, z.ZodType>>>(shape: T): { [K in keyof T]: Live<T[K]> } {
  for (const schema of Object.values(shape)) live(schema)
  return shape as { [K in keyof T]: Live<T[K]> }
}

export function isLive(schema: z.ZodType): boolean {
  return lives.has(schema)
}
