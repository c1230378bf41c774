/** What a person can do about an address that the gateway cannot listen on. */
import { PROGRAM_NAME } from './program-name.ts'

/**
 * @param code as node has it: EADDRINUSE
 * @param by what names the address
 */
export function listenAdvice(code: string | undefined, port: number, by = '--listen'): string {
  if (code === 'EADDRINUSE')
    return `another program has it (ss -ltnp 'sport = :${port}'), perhaps a gateway of yours (\`${PROGRAM_NAME} sessions\`); end that or choose another port with ${by}`
  if (code === 'EACCES') return `ports below 1024 are for root: choose a higher one with ${by}`
  return `this machine has no such address: see \`ip address\`, choose another with ${by}`
}
