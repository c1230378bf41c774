/** A container, a user inside and who wants to be them: where a test needs some and no engine. */
import type { Identity } from '../../src/auth/identity.ts'
import { UNRESTRICTED } from '../../src/auth/restrictions.ts'
import type { Whose } from '../../src/base/connection-facts.ts'
import type { EnvInfo } from '../../src/container/envinfo.ts'
import type { Container } from '../../src/engine/engine.ts'

export const web: Container = {
  id: 'c0ffee',
  name: 'web',
  image: 'busybox',
  state: 'running',
  startedAt: '1',
  exitCode: 0,
  user: '',
  workdir: '',
  env: [],
  labels: {},
  addresses: [],
  readOnlyRootfs: false,
  usernsMode: '',
  mounts: [],
}

export const dev: EnvInfo = {
  name: 'dev',
  uid: 1000,
  gid: 1000,
  home: '/home/dev',
  shell: '/bin/bash',
  engineUser: '1000:1000',
  entry: true,
  known: true,
}

export const anna: Identity = {
  name: 'anna',
  method: 'publickey',
  fingerprint: 'SHA256:x',

  source: 'keys:1',
  groups: [],
  principals: [],
  restrictions: UNRESTRICTED,
}

/** A login of hers. */
export const annas: Whose = {
  connectionId: 'c1',
  remote: { address: '127.0.0.1', port: 22 },
  identity: anna,
  login: 'dev@web',
}
