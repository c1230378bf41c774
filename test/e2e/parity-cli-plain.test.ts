import { parity } from '../parity/suite.ts'

// On request only: what it can show is in docker's plain road and in the cli engine's contract.
parity('cli, guest off', false)
