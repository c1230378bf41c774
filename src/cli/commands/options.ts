/** Options that several commands have; how a command prints and exits. */
import { type Command, Option } from 'commander'

export const configOption = () => new Option('--config <file>', 'configuration file (YAML)')
export const engineOption = () =>
  new Option('--engine <kind>', 'auto, docker (API socket), cli (docker, podman, nerdctl), containerd or kubernetes')
export const socketOption = () => new Option('--control-socket <path>', "the gateway's control socket")
export const jsonOption = () => new Option('--json', 'print JSON').default(false)

export const watchOption = () => new Option('--watch', 'anew every two seconds, until Ctrl-C').default(false)

/** Adds the options of a command that is a gateway, or acts as one. */
export function gatewayOptions(command: Command): Command {
  return command
    .addOption(configOption())
    .addOption(engineOption())
    .option('--authorized-keys <file>', 'file of keys that may log in (repeatable)', collect)
    .option('--guest <mode>', 'the helper inside containers: auto, off, require')
    .option('--keys <directory>', 'where host keys are made and kept')
    .option('--log-level <level>', 'fatal, error, warn, info, debug, trace, silent')
}

/** Collects the values of an option that may be given several times. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

export function print(text: string): void {
  process.stdout.write(text)
}

/** Prints what a command shows, once or for as long as its user watches. */
export async function show(text: () => Promise<string>, watched: boolean): Promise<void> {
  if (!watched) return print(await text())
  const { watch } = await import('../watch.ts')
  await watch(text, process.stdout)
}

/** Exits although a library may keep sockets and timers open. */
export function exit(code: number): never {
  process.exit(code)
}
