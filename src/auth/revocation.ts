/**
 * RevokedKeys: key revocation lists, and files with a public key a line. If one cannot be read, no key is accepted: the
 * keys that it revokes would be.
 */
import type { Logger } from 'pino'
import { parseAuthorizedKeys } from './authorized-keys.ts'
import type { Certificate } from './certificate.ts'
import { isKrl, type Krl, parseKrl, revokesCertificate, revokesKey } from './krl.ts'
import { readSafeFile, type SafeFile } from './safe-file.ts'

const MAX_FILE_BYTES = 64 * 1024 * 1024

export interface Revocations {
  /** Returns a sentence if the key, its certificate or the certificate's authority is revoked. */
  why(key: Buffer, certificate?: Certificate): Promise<string | undefined>
}

export function openRevocations(paths: readonly string[], log: Logger): Revocations {
  const files = new Map<string, SafeFile<Krl>>()

  async function look(path: string): Promise<Krl | undefined> {
    const before = files.get(path)
    const file = await readSafeFile(path, before, { parse: parseRevoked, limit: MAX_FILE_BYTES })
    const now = file ?? { path, version: 'missing', unsafe: `${path} is not there` }
    files.set(path, now)
    if (now.unsafe !== undefined && before?.version !== now.version) {
      log.error({ file: path, reason: now.unsafe }, 'revoked keys cannot be read: no key is accepted')
    }
    return now.parsed
  }

  return {
    async why(key, certificate) {
      for (const path of paths) {
        const list = await look(path)
        if (!list) return `${path} cannot be read`
        if (revokesKey(list, key)) return `the key is revoked by ${path}`
        if (!certificate) continue
        if (revokesKey(list, certificate.authority)) return `the authority’s key is revoked by ${path}`
        if (revokesCertificate(list, certificate)) return `the certificate is revoked by ${path}`
      }
      return undefined
    },
  }
}

/** @throws Error on a line that is no key: it was meant to revoke one */
function parseRevoked(bytes: Buffer): Krl {
  if (isKrl(bytes)) return parseKrl(bytes)
  const { keys, refused } = parseAuthorizedKeys(bytes.toString('utf8'))
  const [bad] = refused
  if (bad) throw new Error(`line ${bad.line}: ${bad.reason}`)
  const revoked = new Set(keys.map(({ blob }) => blob.toString('hex')))
  return { certificates: [], keys: revoked, sha1: new Set(), sha256: new Set() }
}
