import { parity } from '../parity/suite.ts'

parity('containerd, guest off')
