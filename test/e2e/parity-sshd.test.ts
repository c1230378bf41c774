import { parity } from '../parity/suite.ts'
import { referenceIsDue } from '../run/reference.ts'

parity('sshd', referenceIsDue())
