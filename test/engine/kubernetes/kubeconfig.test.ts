import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readClusterAccess } from '../../../src/engine/kubernetes/kubeconfig.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-kubeconfig-'))
  await writeFile(join(folder, 'ca.pem'), 'the ca')
})
afterAll(() => rm(folder, { recursive: true }))

const BASE = `
apiVersion: v1
kind: Config
current-context: prod
contexts:
- {name: prod, context: {cluster: one, user: alice, namespace: shop}}
- {name: other, context: {cluster: two, user: bob}}
clusters:
- {name: one, cluster: {server: "https://one.example:6443/k8s/clusters/c-1", certificate-authority: ca.pem, tls-server-name: inner}}
- {name: two, cluster: {server: "https://10.0.0.2", insecure-skip-tls-verify: true, certificate-authority-data: ${Buffer.from('x').toString('base64')}}}
users:
- {name: alice, user: {token: secret}}
- {name: bob, user: {tokenFile: token, client-certificate-data: Y2VydA==, client-key-data: a2V5}}
- name: eve
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: ./login, args: [a b, $x], env: [{name: A, value: "1"}], provideClusterInfo: true}
`

async function written(content: string, name = 'config'): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}

test('the current context of a kubeconfig, with files beside it', async () => {
  const path = await written(BASE)
  const found = await readClusterAccess({ kubeconfig: path })
  expect(found).toMatchObject({ verify: true, namespace: 'shop', serverName: 'inner', user: { token: 'secret' } })
  expect(found.server.href).toBe('https://one.example:6443/k8s/clusters/c-1')
  expect(found.ca?.toString()).toBe('the ca')
  expect(found.by).toBe(`context prod of ${path}`)
})

test('another context, whose namespace is the default one', async () => {
  const found = await readClusterAccess({ kubeconfig: await written(BASE), context: 'other' })
  expect(found).toMatchObject({ verify: false, namespace: 'default', user: { tokenFile: join(folder, 'token') } })
  expect([found.ca, found.user.cert, found.user.key].map(String)).toEqual(['x', 'cert', 'key'])
})

test('an exec plugin is a program and its arguments, beside the file', async () => {
  const path = await written(BASE.replace('user: alice', 'user: eve'))
  expect((await readClusterAccess({ kubeconfig: path })).user.exec).toMatchObject({
    command: join(folder, 'login'),
    args: ['a b', '$x'],
    env: { A: '1' },
    cluster: { server: 'https://one.example:6443/k8s/clusters/c-1' },
  })
})

test('KUBECONFIG names several, of which the first that has it counts', async () => {
  const first = await written('contexts: [{name: extra, context: {cluster: two}}]\ncurrent-context: extra\n', 'first')
  const second = await written(BASE, 'second')
  const env = { KUBECONFIG: `${first}:${join(folder, 'none')}:${second}` }
  expect((await readClusterAccess({}, env)).server.href).toBe('https://10.0.0.2/')
  expect((await readClusterAccess({ context: 'prod' }, env)).namespace).toBe('shop')
})

test('without a file, a pod has its service account', async () => {
  const account = join(folder, 'account')
  await mkdir(account)
  await writeFile(join(account, 'token'), 'tok\n')
  await writeFile(join(account, 'namespace'), 'ssh')
  await writeFile(join(account, 'ca.crt'), 'ca')
  const env = { HOME: join(folder, 'nobody'), KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' }
  const found = await readClusterAccess({}, env, account)
  expect(found).toMatchObject({ namespace: 'ssh', verify: true, user: { tokenFile: join(account, 'token') } })
  expect(found.server.href).toBe('https://[fd00::1]:6443/')
  await expect(readClusterAccess({}, { HOME: join(folder, 'nobody') }, account)).rejects.toThrow(
    /there is no kubeconfig/,
  )
})

test.each([
  ['no such file', undefined, /cannot be read/],
  ['no YAML', 'a: [', /is no kubeconfig/],
  ['a list', '- a', /is no kubeconfig/],
  ['no current context', BASE.replace('current-context: prod', ''), /has no current-context/],
  ['no such context', BASE.replace('current-context: prod', 'current-context: nope'), /has no context "nope"/],
  ['no such cluster', BASE.replace('cluster: one,', 'cluster: nope,'), /has no cluster "nope"/],
  ['no such user', BASE.replace('user: alice', 'user: nope'), /has no user "nope"/],
  [
    'no address',
    BASE.replace('https://one.example:6443/k8s/clusters/c-1', 'ftp://x'),
    /is no address of an API server/,
  ],
  [
    'a certificate without its key',
    BASE.replace('{token: secret}', '{client-certificate-data: eA==}'),
    /without its key/,
  ],
  ['a file that is not there', BASE.replace('ca.pem', 'none.pem'), /none\.pem cannot be read/],
  ['an auth-provider', BASE.replace('{token: secret}', '{auth-provider: {name: gcp}}'), /use an exec plugin/],
])('%s is a sentence', async (_name, content, sentence) => {
  const path = content === undefined ? join(folder, 'missing') : await written(content, 'bad')
  const reading = readClusterAccess({ kubeconfig: path })
  await expect(reading).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  await expect(reading).rejects.toThrow(sentence)
})

test('a broken file is refused without a word of it', async () => {
  const path = await written(BASE.replace('token: secret', 'token: [hunter2'), 'broken')
  await expect(readClusterAccess({ kubeconfig: path })).rejects.toSatisfy((error) => !String(error).includes('hunter2'))
})
