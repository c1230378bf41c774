/** Marks over the Docker API: empty volumes (engine.ts `Marks`). */
import { z } from 'zod'
import { HatchwayError } from '../../base/errors.ts'
import type { Marks } from '../engine.ts'
import { MARK_LABEL, MARK_NAME } from '../mark-names.ts'
import type { DockerApi } from './api.ts'

const listed = z.object({ Volumes: z.array(z.object({ Name: z.string() })).nullish() })

export function dockerMarks(api: DockerApi): Marks {
  return {
    async put(name, signal) {
      const json = { Name: name, Driver: 'local', Labels: { [MARK_LABEL]: '' } }
      await api.json('POST', '/volumes/create', { signal, json }, () => undefined)
    },

    async list(signal) {
      // Of Docker's own driver alone: the program of another one may hang, and the whole list with it. Podman lists what
      // either filter fits.
      const { product } = await api.version(signal)
      const local = product === 'podman' ? {} : { driver: ['local'] }
      const filters = encodeURIComponent(JSON.stringify({ label: [MARK_LABEL], ...local }))
      const { Volumes } = await api.json('GET', `/volumes?filters=${filters}`, { signal }, (it) => listed.parse(it))
      return (Volumes ?? []).map(({ Name }) => Name).filter((name) => MARK_NAME.test(name))
    },

    async drop(name, signal) {
      const { prefix } = await api.version(signal)
      const { status } = await api.http.call('DELETE', `${prefix}/volumes/${name}`, { signal })
      if (status > 299 && status !== 404) throw new HatchwayError('ENGINE_ERROR', `a volume stays: status ${status}`)
    },
  }
}
