// Containers named hw-bench-*, so that a leftover is recognised; removed at the end.
import { attempt, output } from './command.mjs'
import { parentOf } from './proc.mjs'
import { onClose } from './stop.mjs'

const IMAGE = 'hatchway-debian:latest'
let count = 0

/** Every target has a container of its own, made the same way; /bench is memory, so that no disk is measured. */
export async function startContainer(what, ...command) {
  const name = `hw-bench-${what}-${process.pid}-${++count}`
  const remove = onClose(() => attempt(['docker', 'rm', '-f', '-v', name]))
  const tmpfs = ['--tmpfs', '/bench:size=1g,mode=1777']
  await output(['docker', 'run', '-d', '--name', name, ...tmpfs, IMAGE, ...command])
  const format = '{{.State.Pid}} {{.NetworkSettings.IPAddress}} {{.Id}}'
  const [pid, address, id] = (await output(['docker', 'inspect', '-f', format, name])).split(' ')
  return {
    id,
    name,
    address,
    pid: Number(pid),
    shim: parentOf(Number(pid)),
    /** Past whatever is measured. */
    inside: (script, input) => output(['docker', 'exec', '-i', name, 'sh', '-c', script], { input: input ?? '' }),
    remove,
  }
}
