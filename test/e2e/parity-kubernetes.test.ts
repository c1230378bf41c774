import { test } from 'vitest'
import { parity } from '../parity/suite.ts'
import { whyNoKubernetes } from '../support/kubernetes.ts'

if (whyNoKubernetes !== undefined) test.skip(`parity on kubernetes (${whyNoKubernetes})`, () => {})
else parity('kubernetes')
