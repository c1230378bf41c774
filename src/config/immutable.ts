/** A parsed value that nobody changes. */
export type Immutable<T> = T extends Buffer
  ? T
  : T extends readonly (infer E)[]
    ? readonly Immutable<E>[]
    : T extends object
      ? { readonly [K in keyof T]: Immutable<T[K]> }
      : T
