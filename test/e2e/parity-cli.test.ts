import { parity } from '../parity/suite.ts'

parity('cli')
