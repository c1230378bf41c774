/** Where the hosts come from: the containers of this machine, or a gateway on another one. */
import type { Hosts, IsTaken } from './hosts.ts'

export interface HostSource {
  plan(isTaken: IsTaken): Promise<HostPlan>
  close(): Promise<void>
}

export interface HostPlan {
  readonly hosts: Hosts
  /** The text of the two files. */
  readonly entries: string
  readonly knownHosts: string
}

/** What is told to the person before the hosts are used: where to put them, with which settings. */
export interface HostSettings {
  readonly knownHosts: string
  /** Lines of ssh_config that win over ours. */
  readonly options: readonly string[]
}
