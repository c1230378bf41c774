import { parity } from '../parity/suite.ts'

parity('sshd')
