/** What to do about an engine that does not answer, for `doctor` and the log. */
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { type ChosenEngine, chooseEngine, commandLine, formatAddress, sshCommand } from './choose.ts'
import type { Engine } from './engine.ts'
import { choiceOf } from './kinds.ts'
import type { EngineConfig } from './open.ts'

export const NAME_IT = 'put engine.endpoint, DOCKER_HOST or the docker context right'

/** @param engine the one that is used, or one of several */
export function adviceOn({ engine: choice, engines }: EngineConfig, engine: Engine): Promise<string> {
  const one = engine.name === undefined ? choice : choiceOf(engine.name, engines?.[engine.name])
  // A kind that is no choice: its driver's own words say it all.
  if (one === undefined) return Promise.resolve('see docs/engines.md')
  return chooseEngine(one).then(
    (chosen) => adviceOnEngine(chosen, engine.endpoint),
    () => NAME_IT,
  )
}

export function adviceOnEngine(chosen: ChosenEngine, endpoint: string): string {
  const { by } = chosen
  const otherwise = by === undefined ? '' : `, or ${anotherThan(by)}`
  if (chosen.kind === 'kubernetes') {
    const { kubeconfig, context } = chosen.options
    const options = `${kubeconfig ? ` --kubeconfig ${kubeconfig}` : ''}${context ? ` --context ${context}` : ''}`
    return `see that \`kubectl${options} get pods\` works by itself, without a question${otherwise}`
  }
  if (chosen.kind === 'cli' && chosen.host?.startsWith('ssh://'))
    return `docker's own client carries ssh://: see that \`docker -H ${chosen.host} ps\` works without a question${otherwise}`
  if (chosen.kind === 'cli' && !/^(unix:\/\/)?\//.test(endpoint)) {
    const command = commandLine(chosen.binary, chosen.endpoint && endpoint)
    return `install ${chosen.binary}, and see that \`${command} ps\` works by itself, without a question${otherwise}`
  }
  if (chosen.kind === 'api' && chosen.address.kind === 'tcp')
    return `see that the engine listens at ${formatAddress(chosen.address)} and that this machine may reach it${otherwise}`
  if (chosen.kind === 'api' && chosen.address.kind === 'ssh')
    return `see that \`${sshCommand(chosen.address)}\` connects without a question${otherwise}`
  if (chosen.kind === 'containerd') return adviceOnContainerd(chosen.socket, otherwise)
  const path =
    chosen.kind === 'api' && chosen.address.kind === 'unix' ? chosen.address.path : endpoint.replace(/^unix:\/\//, '')
  if (!existsSync(path)) {
    const start = by === undefined ? 'install and start Docker or Podman, or set engine.endpoint' : 'start its engine'
    return `no socket at ${path}: ${start}${otherwise}`
  }
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return `${path} is there but nobody answers: is the engine running? (systemctl status docker)`
  } catch {
    const { gid } = statSync(path)
    return `you may not open ${path}: join the group that owns it (gid ${gid}, usermod -aG) and log in again`
  }
}

function adviceOnContainerd(socket: string, otherwise: string): string {
  if (!existsSync(socket))
    return `no socket at ${socket}: start containerd (systemctl start containerd)${otherwise}; k3s and RKE2 have theirs in /run/k3s/containerd`
  try {
    accessSync(socket, constants.R_OK | constants.W_OK)
    return `${socket} is there but nobody answers: is containerd running? (systemctl status containerd)`
  } catch {
    return `you may not open ${socket}: run the gateway as root, or give the socket to a group of its own ([grpc] gid in containerd's config.toml)`
  }
}

/** @param by what named the engine: "DOCKER_HOST", "engine.endpoint", "docker context far" */
function anotherThan(by: string): string {
  if (by === 'DOCKER_HOST') return 'correct or unset DOCKER_HOST'
  return by.startsWith('docker context ') ? `choose another than ${by} (docker context use)` : `correct ${by}`
}
