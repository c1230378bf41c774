// Files with OpenSSH's sftp over a live connection; both ends in memory, so that no disk is measured.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { attempt, output, timed } from '../command.mjs'

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

export const scpRow = {
  key: 'scp-small',
  targets: TARGETS,
  figures: [
    { key: 'put', title: `scp -r to it, ${MANY} x 4 KB (docker exec: docker cp)`, unit: 'files/s', goals: goals(1) },
    { key: 'get', title: `scp -r from it, ${MANY} x 4 KB (docker exec: docker cp)`, unit: 'files/s', goals: goals(1) },
  ],
  async prepare(target, setup) {
    const few = Math.max(1, Math.round(MANY * setup.scale))
    const rate = (ms) => (few * 1000) / ms
    // docker cp reaches no tmpfs.
    const plain = { here: join(setup.folder, 'cp'), there: '/var/tmp', close: () => {} }
    if (target.key === 'exec') mkdirSync(plain.here, { recursive: true })
    const { here, there, scp, close } = target.key === 'exec' ? plain : await openFiles(target, setup)
    const copy = scp ?? ((from, to) => timed(['docker', 'cp', from, to]))
    const inside = `${target.key === 'exec' ? target.container.name : 't'}:${there}`
    mkdirSync(join(here, 'small'), { recursive: true })
    for (let i = 0; i < few; i++) writeFileSync(join(here, 'small', `file${i}`), Buffer.alloc(4096, 'x'))
    return {
      async sample() {
        await target.container.inside(`rm -rf ${there}/small`)
        rmSync(join(here, 'back'), { recursive: true, force: true })
        return {
          put: rate(await copy(join(here, 'small'), `${inside}/small`)),
          get: rate(await copy(`${inside}/small`, join(here, 'back'))),
        }
      },
      close,
    }
  },
}

const NAMES = 10_000

/** A directory of many names, and a tree that a person mounted. */
export const treeRow = {
  key: 'tree',
  targets: ['sshd', 'docker', 'guest', 'cli'],
  rounds: 10,
  figures: [
    {
      key: 'ls',
      title: `sftp ls -l of ${NAMES} names`,
      unit: 'ms',
      goals: [{ target: 'guest', against: 'sshd', most: 1, from: '#5' }],
    },
    {
      key: 'sshfs',
      title: `sshfs: read a tree of ${MANY} x 4 KB, mounted anew`,
      unit: 'ms',
      goals: [{ target: 'guest', against: 'sshd', most: 1, from: '#5' }],
    },
  ],
  async prepare(target, setup) {
    const { here, there, sftp, mount, close } = await openFiles(target, setup)
    const [names, files] = [NAMES, MANY].map((count) => Math.max(1, Math.round(count * setup.scale)))
    const many = `mkdir names && cd names && seq ${names} | xargs touch`
    const tree = `mkdir -p tree/a tree/b && for i in $(seq ${files}); do d=a; [ $((i % 2)) = 0 ] && d=b; head -c 4096 /dev/zero >tree/$d/$i; done; chmod -R a+rX .`
    await target.container.inside(`cd ${there} && (${many}); cd ${there} && ${tree}`)
    const point = join(here, 'mounted')
    mkdirSync(point)
    return {
      async sample() {
        const ls = await sftp(`ls -l ${there}/names`)
        const unmount = await mount(`${there}/tree`, point)
        try {
          const read = ['sh', '-c', `cat "$1"/a/* "$1"/b/* | wc -c`, 'sh', point]
          const began = performance.now()
          const bytes = Number(await output(read))
          const sshfs = performance.now() - began
          if (bytes !== files * 4096) throw new Error(`${bytes} of ${files * 4096} bytes were read`)
          return { ls, sshfs }
        } finally {
          await unmount()
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
  const scp = (from, to) => timed(['scp', '-q', '-r', '-F', target.config, ...live.options, from, to])
  const mount = async (from, to) => {
    const options = live.options.flatMap((option) => (option === '-o' ? [] : ['-o', option]))
    await timed(['sshfs', '-F', target.config, ...options, '-o', 'dir_cache=no', `t:${from}`, to])
    return () => attempt(['fusermount3', '-u', '-z', to]).then((done) => done ?? attempt(['umount', '-l', to]))
  }
  const sftp = (batch) =>
    timed(['sftp', '-q', '-b', '-', '-F', target.config, ...live.options, 't'], { input: `${batch}\n` })
  try {
    await target.container.inside(`mkdir -m 777 ${there}`)
    // Says in its own words when it is not served.
    await sftp('pwd')
    return { here, there, sftp, scp, mount, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function sameSize(target, file, bytes) {
  const size = await output(['docker', 'exec', target.container.name, 'stat', '-c', '%s', file])
  if (Number(size) !== bytes) throw new Error(`${size} of ${bytes} bytes arrived`)
}
