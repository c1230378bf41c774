import { twoGateways } from '../support/two-gateways.ts'

// Of ./hatchway test --engines: Podman 4 is silent for half a minute now and then where much else runs.
twoGateways('podman')
