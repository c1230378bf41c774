/** Host names as clients give them to a proxy. Which container one means, and whether there is any, is told to nobody here. */
export interface Named {
  readonly host: string
}

export interface NotNamed {
  readonly reason: string
  /** The host would do, the port does not. */
  readonly port?: true
}

/** RFC 1035's bound. A name of ours may hold more than DNS allows ("+node"), but no blank, control or colon. */
const HOST = /^[!-9;-~]{1,255}$/
const SSH_PORT = 22

export function parseHost(host: string, port: number): Named | NotNamed {
  if (!HOST.test(host)) return { reason: 'no host name' }
  return port === SSH_PORT ? { host } : { reason: `port ${port}: only SSH is served, at port 22`, port: true }
}

/** "web:22" */
export function parseAuthority(authority: string): Named | NotNamed {
  const [, host = '', port = ''] = /^([^:]*):(\d{1,5})$/.exec(authority) ?? []
  return parseHost(host, Number(port))
}
