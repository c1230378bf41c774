/** Options that several commands have, and how a command says what it found and how it ended. */
import { type Command, Option } from 'commander'

export const configOption = () => new Option('--config <file>', 'configuration file (YAML)')
export const engineOption = () =>
  new Option('--engine <kind>', 'auto, docker (API socket) or cli (docker, podman, nerdctl)')
export const socketOption = () => new Option('--control-socket <path>', "the gateway's control socket")
export const jsonOption = () => new Option('--json', 'print JSON').default(false)

/** Of a command that is a gateway, or does as one would. */
export function gatewayOptions(command: Command): Command {
  return command
    .addOption(configOption())
    .addOption(engineOption())
    .option('--authorized-keys <file>', 'who may enter (repeatable)', collect)
    .option('--guest <mode>', 'the helper inside containers: auto, off, require')
    .option('--keys <directory>', 'where host keys are made and kept')
    .option('--log-level <level>', 'fatal, error, warn, info, debug, trace, silent')
}

/** Of an option that may be given several times. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

export function print(text: string): void {
  process.stdout.write(text)
}

/** Sockets and timers that a library keeps open must not keep the process. */
export function exit(code: number): never {
  process.exit(code)
}
