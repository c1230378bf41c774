/**
 * Parts of the program that are loaded when they are first needed: `hatchway stdio` is started for every connection, and
 * waited for. A gateway runs for long and loads them all soon after its start, so that its files may be replaced meanwhile.
 */
const parts: (() => Promise<unknown>)[] = []

/** Returns `load`, which is one import(), for whoever needs the part first. */
export function part<T>(load: () => Promise<T>): () => Promise<T> {
  parts.push(load)
  return load
}

/** Also the parts that only a part has which is loaded now: they are at the end of the same list. */
export async function loadAllParts(): Promise<void> {
  for (const load of parts) await load()
}
