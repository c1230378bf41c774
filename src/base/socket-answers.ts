/** Does a process listen on a unix socket? The file stays when its process was killed. */
import { connect } from 'node:net'
import { isErrno } from './errors.ts'

const ANSWER_MS = 2000

/** False: nobody listens there, or there is no such socket. One that is slow to answer counts as listening. */
export function socketAnswers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const done = (lives: boolean) => {
      socket.destroy()
      resolve(lives)
    }
    socket.setTimeout(ANSWER_MS, () => done(true))
    socket.once('connect', () => done(true))
    socket.once('error', (error) => done(!isErrno(error, 'ECONNREFUSED', 'ENOENT')))
  })
}
