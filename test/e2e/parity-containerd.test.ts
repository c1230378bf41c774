import { parity } from '../parity/suite.ts'

parity('containerd')
