/** The operator mounted the helper at `docker run` (guest.mountedAt): nothing is delivered at all. */
import { serveWords } from '../user.ts'
import type { Way } from './way.ts'

export const operatorMount: Way = {
  name: 'mount',
  hopeless: ({ mountedAt }) => (mountedAt === undefined ? 'no mount is configured' : undefined),
  deliver(delivery) {
    const path = delivery.mountedAt ?? ''
    return delivery.serve([path, ...serveWords(delivery.user)])
  },
}
