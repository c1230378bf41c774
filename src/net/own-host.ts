/**
 * DNS rebinding: a page in a browser on this machine gives its own host name the address 127.0.0.1, and may then read what a
 * server there answers. The browser still sends that name as Host, and no such name is ours.
 */
import { isLoopback } from './address.ts'

/** @param host of the request; absent in HTTP/1.0, which no browser speaks */
export function isOwnHost(host: string | undefined): boolean {
  if (host === undefined) return true
  const [, v6, name] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::\d{1,5})?$/i.exec(host) ?? []
  if (v6 !== undefined) return isLoopback(v6)
  return name !== undefined && (name.toLowerCase() === 'localhost' || isLoopback(name))
}
