/** Finds an account of this machine by its name: in /etc/passwd, else by getent, which also asks LDAP or SSSD. */
import { readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { part } from '../base/parts.ts'
import { mustBeOfTheFile, mustBeOfTheProgram } from './undecided.ts'

export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
}

const loadExeca = part(() => import('execa'))

const PASSWD = '/etc/passwd'
const LOOKUP_MS = 5_000

export async function findAccount(name: string): Promise<Account | undefined> {
  const local = (await readPasswd()).split('\n').map((line) => accountOf(line))
  const found = local.find((account) => account?.name === name)
  if (found) return found
  const { execa } = await loadExeca()
  const asked = await execa('getent', ['passwd', '--', name], { reject: false, timeout: LOOKUP_MS, stdin: 'ignore' })
  if (asked.exitCode === undefined) mustBeOfTheProgram('getent', asked.cause)
  // Without a getent on this machine stdout is undefined.
  const account = accountOf(asked.stdout ?? '')
  return account?.name === name ? account : undefined
}

async function readPasswd(): Promise<string> {
  try {
    return await readFile(PASSWD, 'utf8')
  } catch (error) {
    mustBeOfTheFile(PASSWD, error)
    return ''
  }
}

/** The account that this process runs as. */
export function ownAccount(): Account {
  const { username, uid, gid, homedir } = userInfo()
  return { name: username, uid, gid, home: homedir }
}

function accountOf(line: string): Account | undefined {
  const [name = '', , uid = '', gid = '', , home = ''] = line.split(':')
  return name !== '' && /^\d+$/.test(uid) && /^\d+$/.test(gid)
    ? { name, uid: Number(uid), gid: Number(gid), home }
    : undefined
}
