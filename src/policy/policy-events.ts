/** What the policy tells of its decisions. */
import { type ContainerFacts, containerFacts, type Whose } from '../base/connection-facts.ts'
import { clientText } from '../base/printable.ts'
import type { Decision, Request } from './request.ts'

export interface PolicyEvent {
  /** `withdrawn`: it was permitted, went on, and is ended. */
  readonly type: 'refused' | 'withdrawn'
  readonly whose: Whose
  readonly container: ContainerFacts
  /** The user inside; absent while only the container is asked for. */
  readonly user?: string
  readonly action: ActionFacts
  /** The rule: Decision.by */
  readonly by: string
}

/** An action without its command, which may hold secrets; what the client chose is printable and bounded. */
export interface ActionFacts {
  readonly kind: string
  readonly [field: string]: string | number | boolean
}

export function policyEvent(type: PolicyEvent['type'], request: Request, { by }: Pick<Decision, 'by'>): PolicyEvent {
  const { container, user, action } = request
  return {
    type,
    whose: whoseOf(request),
    container: containerFacts(container),
    ...(user && { user: user.name }),
    action: actionFacts(action),
    by,
  }
}

export function whoseOf({ identity, origin }: Pick<Request, 'identity' | 'origin'>): Whose {
  return { ...origin, login: clientText(origin.login), identity }
}

function actionFacts(action: Request['action']): ActionFacts {
  const { kind, ...rest } = action
  if ('command' in rest) return { kind }
  const said = Object.entries(rest).map(([key, value]) => [key, typeof value === 'string' ? clientText(value) : value])
  return { kind, ...Object.fromEntries(said) }
}
