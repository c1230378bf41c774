/** Docker's own grammar of names and ids. It keeps a name out of paths and options: no slash, no leading dash. */
export function isContainerRef(text: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,253}$/.test(text)
}

/** An id as people read it: a digest in it is cut as engines cut theirs, anything else is whole. */
export function shortId(id: string): string {
  return id.replace(/[0-9a-f]{64}/g, (digest) => digest.slice(0, 12))
}

export interface Called {
  readonly name: string
  /** As in a ContainerSummary. */
  readonly engine?: string | undefined
}

/** "web.build1" of one of several engines: there it is one container's. */
export function fullName({ name, engine }: Called): string {
  return engine === undefined ? name : `${name}.${engine}`
}
