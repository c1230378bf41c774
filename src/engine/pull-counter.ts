/** What an engine says of each layer while it pulls → one sum. Docker's and Podman's words, from the API or a CLI. */
import type { PullProgress } from './engine.ts'

export interface LayerNews {
  readonly id?: string | undefined
  readonly status?: string | undefined
  readonly progressDetail?: { readonly current?: number | undefined; readonly total?: number | undefined } | undefined
}

/** Nobody's image has more; the registry's answer must not grow our memory. */
const MAX_LAYERS = 1000

export interface PullCounter {
  /** True when the sum changed. */
  add(news: LayerNews): boolean
  progress(): PullProgress
}

export function createPullCounter(): PullCounter {
  const layers = new Map<string, { complete: boolean; bytes: number; total: number }>()
  return {
    add({ id, status = '', progressDetail }) {
      // "22: Pulling from library/node" is about the image.
      if (id === undefined || /^Pulling from/.test(status)) return false
      const known = layers.get(id) ?? { complete: false, bytes: 0, total: 0 }
      if (!layers.has(id) && layers.size >= MAX_LAYERS) return false
      layers.set(id, known)
      const { current, total } = progressDetail ?? {}
      if (/^Downloading/.test(status)) {
        if (total !== undefined) known.total = total
        if (current !== undefined) known.bytes = Math.min(current, total ?? current)
      } else if (/^(Download complete|Verifying|Extracting)/.test(status)) {
        known.bytes = known.total
      } else if (/^(Pull complete|Already exists)/.test(status)) {
        known.complete = true
        known.bytes = known.total
      }
      return true
    },
    progress() {
      const all = [...layers.values()]
      const sum = (of: (layer: { bytes: number; total: number }) => number) => all.reduce((n, l) => n + of(l), 0)
      return {
        layers: all.length,
        complete: all.filter(({ complete }) => complete).length,
        bytes: sum(({ bytes }) => bytes),
        total: sum(({ total }) => total),
      }
    },
  }
}
