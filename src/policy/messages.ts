/** What a user who was refused reads: what was not permitted, and the rule's own sentence, but not which rule it was. */
import { clientText } from '../base/printable.ts'
import type { Action, Request } from './request.ts'

export function refusalSentence({ action, container, user }: Request, message?: string): string {
  const as = user === undefined ? '' : ` as ${user.name}`
  const refused =
    action.kind === 'enter' ? `entering ${container.name}${as}` : `${words(action)} in ${container.name}${as}`
  return `${refused} is not permitted${message === undefined ? '' : `: ${message}`}`
}

/** For people; also what `hatchway policy explain` repeats. Never a command's text. */
export function words(action: Action): string {
  switch (action.kind) {
    case 'enter':
      return 'entering'
    case 'start':
      return 'starting a container'
    case 'debug':
      return 'a debug container'
    case 'create':
      return `a container from template ${action.template}`
    case 'shell':
      return 'a shell'
    case 'exec':
      return 'this command'
    case 'sftp':
      return 'sftp'
    case 'pty':
      return 'a terminal'
    case 'env':
      return `setting ${clientText(action.name)}`
    case 'agent':
      return 'agent forwarding'
    case 'x11':
      return 'X11 forwarding'
    case 'forward-local':
      return `forwarding to ${clientText(action.host)}:${action.port}`
    case 'forward-remote':
      return `listening on ${clientText(action.host)}:${action.port}`
    case 'forward-socket':
      return `forwarding ${clientText(action.path)}`
  }
}
