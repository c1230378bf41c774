/** Where the hosts come from: the containers of this machine, or a gateway on another one. */
import type { Hosts, Taken } from './hosts.ts'

export interface HostSource {
  plan(taken: Taken): Promise<HostPlan>
  close(): Promise<void>
}

export interface HostPlan {
  readonly hosts: Hosts
  /** Sentences about what was left out. */
  readonly left: readonly string[]
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
