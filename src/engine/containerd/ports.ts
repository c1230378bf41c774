/** The published ports of a container, which nerdctl writes in a label; containerd itself knows nothing of networks. */
import { z } from 'zod'
import type { PortBinding } from '../engine.ts'

const mapping = z.object({
  HostPort: z.number(),
  ContainerPort: z.number(),
  Protocol: z.enum(['tcp', 'udp', 'sctp']).catch('tcp'),
  HostIP: z.string().catch(''),
})

export function parsePorts(label: string | undefined): PortBinding[] {
  if (label === undefined) return []
  try {
    return z
      .array(mapping)
      .parse(JSON.parse(label))
      .map(({ HostPort, ContainerPort, Protocol, HostIP }) => ({
        containerPort: ContainerPort,
        protocol: Protocol,
        hostAddress: HostIP,
        hostPort: HostPort,
      }))
  } catch {
    // A label is anybody's text.
    return []
  }
}
