// Files with OpenSSH's sftp over a live connection; both ends in memory, so that no disk is measured.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { output, timed } from '../command.mjs'

const TARGETS = ['exec', 'sshd', 'docker', 'guest', 'cli']
const MANY = 1000
const goals = (least) =>
  ['docker', 'guest', 'cli'].map((target) => ({ target, against: 'sshd', least, from: 'design' }))

export const largeRow = {
  key: 'sftp-large',
  targets: TARGETS,
  figures: [
    { key: 'put', title: 'sftp put, one large file', unit: 'MB/s', goals: goals(0.7) },
    { key: 'get', title: 'sftp get, one large file', unit: 'MB/s', goals: goals(0.7) },
  ],
  async prepare(target, setup) {
    const bytes = setup.fileMegabytes * 1e6
    const { here, there, sftp, close } = await openFiles(target, setup)
    try {
      writeFileSync(join(here, 'large'), Buffer.alloc(bytes, 'hatchway'))
      await sftp(`put ${here}/large ${there}/large`)
      await sameSize(target, `${there}/large`, bytes)
    } catch (error) {
      await close()
      throw error
    }
    const rate = (ms) => bytes / 1000 / ms
    return {
      sample: async () => ({
        put: rate(await sftp(`put ${here}/large ${there}/large`)),
        get: rate(await sftp(`get ${there}/large ${here}/back`)),
      }),
      close,
    }
  },
}

export const smallRow = {
  key: 'sftp-small',
  targets: TARGETS,
  figures: [
    { key: 'put', title: `sftp put -r, ${MANY} x 4 KB`, unit: 'files/s', goals: goals(1) },
    { key: 'get', title: `sftp get -r, ${MANY} x 4 KB`, unit: 'files/s', goals: goals(1) },
  ],
  async prepare(target, setup) {
    const { here, there, sftp, close } = await openFiles(target, setup)
    const few = Math.max(1, Math.round(MANY * setup.scale))
    mkdirSync(join(here, 'small'))
    for (let i = 0; i < few; i++) writeFileSync(join(here, 'small', `file${i}`), Buffer.alloc(4096, 'x'))
    const rate = (ms) => (few * 1000) / ms
    return {
      async sample() {
        await target.container.inside(`rm -rf ${there}/small`)
        rmSync(join(here, 'back'), { recursive: true, force: true })
        mkdirSync(join(here, 'back'))
        return {
          put: rate(await sftp(`put -r ${here}/small ${there}`)),
          get: rate(await sftp(`get -r ${there}/small ${here}/back`)),
        }
      },
      close,
    }
  },
}

async function openFiles(target, { folder }) {
  if (!target.live) throw new Error('docker exec serves no sftp')
  const live = await target.live()
  const here = join(folder, `files-${target.container.name}`)
  const there = '/bench/files'
  mkdirSync(here, { recursive: true })
  const close = async () => {
    await live.close()
    rmSync(here, { recursive: true, force: true })
    await target.container.inside(`rm -rf ${there}`)
  }
  const sftp = (batch) =>
    timed(['sftp', '-q', '-b', '-', '-F', target.config, ...live.options, 't'], { input: `${batch}\n` })
  try {
    await target.container.inside(`mkdir -m 777 ${there}`)
    // Says in its own words when it is not served.
    await sftp('pwd')
    return { here, there, sftp, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function sameSize(target, file, bytes) {
  const size = await output(['docker', 'exec', target.container.name, 'stat', '-c', '%s', file])
  if (Number(size) !== bytes) throw new Error(`${size} of ${bytes} bytes arrived`)
}
