import { parity } from '../parity/suite.ts'

parity('docker, guest off')
