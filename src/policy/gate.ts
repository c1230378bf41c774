/** The policy as one connection asks it: identity and address are known, container and user come with each question. */
import { HatchwayError } from '../base/errors.ts'
import type { Target } from '../container/containers.ts'
import type { EnvInfo } from '../container/envinfo.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { SshAction } from '../ssh/connection.ts'
import type { SessionStart, SshSession } from '../ssh/session.ts'
import type { PolicyKeeper } from './live-policy.ts'
import type { Policy } from './policy.ts'
import { type PolicyEvent, policyEvent } from './policy-events.ts'
import type { Action, Decision, Granted, Request } from './request.ts'

export interface Gate {
  /** The one place where an action is refused, and told of as refused. @throws HatchwayError NOT_PERMITTED */
  demand(action: Action, target: Target): Promise<Granted>
  /** The answer to a channel request that comes before its session starts. */
  allow(action: SshAction): Promise<boolean>
  /**
   * Asks again at the session's start, and takes out what is refused: agent and X11 always; variables where nobody knew at
   * `allow` where the session goes, or the container's passwd was another then. An agent that an earlier session was granted
   * is put in, as sshd has one for all later sessions of a connection (session.c, auth_sock_name).
   */
  sift(asked: Asked, target: Target): Promise<Asked>
  /** What was granted goes on until the answer is called, the connection ends, or it is withdrawn: then `end` is called. */
  hold(actions: readonly Action[], target: Target, end: () => void, readOnly?: boolean): () => void
}

/** What a session asked for before its start. */
export type Asked = Pick<SshSession, 'env' | 'agentForwarding' | 'x11'>

export function createGate(
  policy: PolicyKeeper,
  who: Pick<Request, 'identity' | 'origin'>,
  resolve: () => Promise<Target | undefined>,
  closed: AbortSignal,
  emit: (event: PolicyEvent) => void,
): Gate {
  /** For which passwd records, or none, `allow` has answered. */
  const judged = new Set<EnvInfo | undefined>()
  /** Some session was granted the agent. A promise: the next session does not wait for its answer. */
  let agentGranted: Promise<boolean> = Promise.resolve(false)
  const holding = new Set<() => void>()
  onAbort(closed, () => {
    for (const letGo of holding) letGo()
  })

  async function ask(action: Action, { container, info }: Target): Promise<Decision> {
    const request = { ...who, container, user: info, action }
    const decision = await policy.decide(request)
    if (!decision.allowed) emit(policyEvent('refused', request, decision))
    return decision
  }

  async function answerTo(action: SshAction): Promise<boolean> {
    let target: Target | undefined
    try {
      target = await resolve()
    } catch {
      // The session that follows says why, on its terminal if it wants one; it asks for that again.
      return action.kind === 'pty'
    }
    judged.add(target?.info)
    return target === undefined || (await ask(action, target)).allowed
  }

  return {
    async demand(action, target) {
      const decision = await ask(action, target)
      if (!decision.allowed) throw new HatchwayError('NOT_PERMITTED', decision.reason)
      return decision
    },
    allow(action) {
      const answer = answerTo(action)
      if (action.kind === 'agent') {
        const either = Promise.all([agentGranted, answer.catch(() => false)])
        agentGranted = either.then(([before, now]) => before || now)
      }
      return answer
    },
    async sift(session, target) {
      const may = async (action: Action) => (await ask(action, target)).allowed
      const { env: sent, agentForwarding, x11: display } = session
      const inherits = !agentForwarding && (await agentGranted) && (await may({ kind: 'agent' }))
      // Asked again, however short ago it was granted: the client chooses when its session starts.
      const agent = inherits || (agentForwarding && (await may({ kind: 'agent' })))
      const x11 = display && (await may({ kind: 'x11' })) ? display : undefined
      return { env: await permitted(sent), agentForwarding: agent, ...(x11 && { x11 }) }

      /**
       * A record lives as long as passwd and the container's run do: for the same one each name was asked about already.
       * Not at a gate that no `allow` has come to, as a second round's: all requests came to the first one's.
       */
      async function permitted(all: Asked['env']): Promise<Asked['env']> {
        const isJudged = judged.size > 0 && [...judged].every((info) => info === target.info)
        if (isJudged) return all
        const env = new Map<string, string>()
        for (const [name, value] of all) if (await may({ kind: 'env', name })) env.set(name, value)
        return env
      }
    },
    hold(actions, { container, info }, end, readOnly = false) {
      // What runs beside the container runs there by that permission, too.
      const all: readonly Action[] = container.beside === undefined ? actions : [...actions, { kind: 'debug' }]
      const requests = all.map((action) => ({ ...who, container, user: info, action }))
      const release = policy.hold(
        requests,
        () => {
          holding.delete(letGo)
          end()
        },
        readOnly,
      )
      const letGo = () => {
        holding.delete(letGo)
        release()
      }
      holding.add(letGo)
      if (closed.aborted) letGo()
      return letGo
    },
  }
}

/** May they be there as that user at all? @throws HatchwayError NOT_PERMITTED */
export async function demandEntry(
  policy: Policy,
  request: Omit<Request, 'action'>,
  emit: (event: PolicyEvent) => void,
): Promise<void> {
  const asked: Request = { ...request, action: { kind: 'enter' } }
  const decision = await policy(asked)
  if (decision.allowed) return
  emit(policyEvent('refused', asked, decision))
  throw new HatchwayError('NOT_PERMITTED', decision.reason)
}

/** What a session's program asks for. */
export function sessionActions(start: SessionStart, pty: object | undefined): readonly [Action, ...Action[]] {
  const program: Action =
    start.kind === 'exec'
      ? { kind: 'exec', command: start.command }
      : { kind: start.kind === 'subsystem' ? 'sftp' : 'shell' }
  return pty ? [program, { kind: 'pty' }] : [program]
}
