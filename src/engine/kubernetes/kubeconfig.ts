/** Which API server, and as whom: a kubeconfig as kubectl reads it, or what a pod is given (in-cluster). */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { HatchwayError, isErrno, messageOf } from '../../base/errors.ts'

/** What an exec plugin is: a program that prints credentials (client.authentication.k8s.io). */
export interface ExecPlugin {
  readonly apiVersion: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly installHint?: string
  /** What the plugin is told of the cluster, where it asks for that. */
  readonly cluster?: object
}

/** As whom; every field may be absent: an API server behind `kubectl proxy` asks for nothing. */
export interface UserAccess {
  readonly token?: string
  /** Read again when it rotates. */
  readonly tokenFile?: string
  readonly cert?: Buffer
  readonly key?: Buffer
  readonly basic?: { readonly username: string; readonly password: string }
  readonly exec?: ExecPlugin
}

export interface ClusterAccess {
  readonly server: URL
  readonly ca?: Buffer
  /** False only where the kubeconfig says so itself (insecure-skip-tls-verify). */
  readonly verify: boolean
  readonly serverName?: string
  /** The context's namespace. */
  readonly namespace: string
  readonly user: UserAccess
  /** What named it, for logs: "context prod of /home/a/.kube/config". */
  readonly by: string
}

export interface KubeChoice {
  /** Absent: KUBECONFIG, ~/.kube/config, or what a pod has. */
  readonly kubeconfig?: string | undefined
  /** Absent: its current one. */
  readonly context?: string | undefined
}

const IN_CLUSTER = '/var/run/secrets/kubernetes.io/serviceaccount'

const text = z.string().nullish()
const cluster = z.object({
  server: z.string(),
  'certificate-authority': text,
  'certificate-authority-data': text,
  'insecure-skip-tls-verify': z.boolean().nullish(),
  'tls-server-name': text,
  'proxy-url': text,
})
const plugin = z.object({
  apiVersion: z.string(),
  command: z.string(),
  args: z.array(z.string()).nullish(),
  env: z.array(z.object({ name: z.string(), value: z.string() })).nullish(),
  installHint: text,
  provideClusterInfo: z.boolean().nullish(),
})
const user = z.object({
  token: text,
  tokenFile: text,
  'client-certificate': text,
  'client-certificate-data': text,
  'client-key': text,
  'client-key-data': text,
  username: text,
  password: text,
  exec: plugin.nullish(),
  'auth-provider': z.unknown().optional(),
})
const context = z.object({ cluster: z.string(), user: text, namespace: text })
const named = <T extends z.ZodType>(key: string, of: T) =>
  z
    .array(z.object({ name: z.string() }).and(z.object({ [key]: of })))
    .nullish()
    .transform((all) => all ?? [])
const file = z.object({
  clusters: named('cluster', cluster),
  users: named('user', user),
  contexts: named('context', context),
  'current-context': text,
})

type KubeFile = z.infer<typeof file>

/** @throws HatchwayError CONFIG_INVALID */
export async function readClusterAccess(
  choice: KubeChoice,
  env: NodeJS.ProcessEnv = process.env,
  inClusterFolder = IN_CLUSTER,
): Promise<ClusterAccess> {
  const paths = choice.kubeconfig ? [choice.kubeconfig] : pathsOf(env)
  const files: { readonly path: string; readonly content: KubeFile }[] = []
  for (const path of paths) {
    const content = await readKubeFile(path, choice.kubeconfig !== undefined)
    if (content) files.push({ path, content })
  }
  if (files.length > 0) return fromFiles(files, choice.context)
  if (choice.context === undefined) {
    const found = await inCluster(env, inClusterFolder)
    if (found) return found
  }
  throw invalid(`there is no kubeconfig (${paths.join(', ')}), and this is no pod: set kubeconfig`)
}

function pathsOf({ KUBECONFIG: named, HOME: home }: NodeJS.ProcessEnv): readonly string[] {
  const listed = (named ?? '').split(delimiter).filter(Boolean)
  return listed.length > 0 ? listed : [join(home ?? homedir(), '.kube', 'config')]
}

async function readKubeFile(path: string, required: boolean): Promise<KubeFile | undefined> {
  let content: string
  try {
    content = await readFile(path, 'utf8')
  } catch (error) {
    if (!required && isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw invalid(`${path} cannot be read`, error)
  }
  try {
    return file.parse(parse(content, { schema: 'core' }) ?? {})
  } catch (error) {
    // Not the parser's own sentence: it quotes the file, and that holds secrets.
    const where = error instanceof z.ZodError ? ` at ${error.issues[0]?.path.join('.') || 'its top'}` : ''
    throw invalid(`${path} is no kubeconfig${where}`)
  }
}

interface Found<T> {
  readonly value: T
  /** Relative paths begin there. */
  readonly folder: string
  readonly path: string
}

/** Of several files the first that has it counts, as with kubectl. */
async function fromFiles(
  files: readonly { readonly path: string; readonly content: KubeFile }[],
  wanted: string | undefined,
): Promise<ClusterAccess> {
  const find = <T>(pick: (content: KubeFile) => T | null | undefined): Found<T> | undefined => {
    for (const { path, content } of files) {
      const value = pick(content)
      if (value !== undefined && value !== null) return { value, folder: dirname(path), path }
    }
    return undefined
  }
  const where = files.map(({ path }) => path).join(', ')
  const name = wanted ?? (find((content) => content['current-context'] || undefined)?.value || undefined)
  if (name === undefined) throw invalid(`${where} has no current-context: set context`)
  const ctx = find((content) => content.contexts.find((one) => one.name === name))
  if (!ctx) throw invalid(`${where} has no context ${JSON.stringify(name)}`)
  const chosen = context.parse(ctx.value.context)
  const found = find((content) => content.clusters.find((one) => one.name === chosen.cluster))
  if (!found) throw invalid(`${ctx.path} has no cluster ${JSON.stringify(chosen.cluster)} (context ${name})`)
  const at = cluster.parse(found.value.cluster)
  const who = chosen.user ? find((content) => content.users.find((one) => one.name === chosen.user)) : undefined
  if (chosen.user && !who) throw invalid(`${ctx.path} has no user ${JSON.stringify(chosen.user)} (context ${name})`)
  if (at['proxy-url']) throw invalid(`${found.path}: proxy-url of cluster ${chosen.cluster} is not supported`)
  const ca = await bytesOfEither(at['certificate-authority-data'], at['certificate-authority'], found.folder)
  return {
    server: serverUrl(at.server, found.path),
    verify: at['insecure-skip-tls-verify'] !== true,
    namespace: chosen.namespace || 'default',
    by: `context ${name} of ${ctx.path}`,
    user: who ? await userAccess(user.parse(who.value.user), who, at, ca) : {},
    ...(ca && { ca }),
    ...(at['tls-server-name'] && { serverName: at['tls-server-name'] }),
  }
}

async function userAccess(
  who: z.infer<typeof user>,
  { folder, path, value: { name } }: Found<{ name: string }>,
  at: z.infer<typeof cluster>,
  ca: Buffer | undefined,
): Promise<UserAccess> {
  if (who['auth-provider']) {
    throw invalid(`${path}: user ${name} has an auth-provider, which Kubernetes has given up: use an exec plugin`)
  }
  const cert = await bytesOfEither(who['client-certificate-data'], who['client-certificate'], folder)
  const key = await bytesOfEither(who['client-key-data'], who['client-key'], folder)
  if ((cert === undefined) !== (key === undefined)) {
    throw invalid(
      `${path}: user ${name} has ${cert ? 'a client certificate without its key' : 'a key without its certificate'}`,
    )
  }
  const clusterInfo = {
    server: at.server,
    ...(at['insecure-skip-tls-verify'] && { 'insecure-skip-tls-verify': true }),
    ...(at['tls-server-name'] && { 'tls-server-name': at['tls-server-name'] }),
    ...(ca && { 'certificate-authority-data': ca.toString('base64') }),
  }
  return {
    ...(who.tokenFile && { tokenFile: resolveIn(folder, who.tokenFile) }),
    // As kubectl: what stands there itself counts for nothing beside a file that is read again.
    ...(who.token && !who.tokenFile && { token: who.token }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(who.username && { basic: { username: who.username, password: who.password ?? '' } }),
    ...(who.exec && {
      exec: {
        apiVersion: who.exec.apiVersion,
        command: who.exec.command.includes('/') ? resolveIn(folder, who.exec.command) : who.exec.command,
        args: who.exec.args ?? [],
        env: Object.fromEntries((who.exec.env ?? []).map(({ name, value }) => [name, value])),
        ...(who.exec.installHint && { installHint: who.exec.installHint }),
        ...(who.exec.provideClusterInfo && { cluster: clusterInfo }),
      },
    }),
  }
}

async function inCluster(env: NodeJS.ProcessEnv, folder: string): Promise<ClusterAccess | undefined> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env
  if (!host) return undefined
  const read = (name: string) => readFile(join(folder, name)).catch(() => undefined)
  const [ca, token, namespace] = await Promise.all([read('ca.crt'), read('token'), read('namespace')])
  if (token === undefined) return undefined
  return {
    server: serverUrl(`https://${host.includes(':') ? `[${host}]` : host}:${port}`, 'KUBERNETES_SERVICE_HOST'),
    verify: true,
    namespace: namespace?.toString('utf8').trim() || 'default',
    user: { tokenFile: join(folder, 'token') },
    by: 'the service account of this pod',
    ...(ca && { ca }),
  }
}

async function bytesOfEither(
  data: string | null | undefined,
  path: string | null | undefined,
  folder: string,
): Promise<Buffer | undefined> {
  if (data) return Buffer.from(data, 'base64')
  if (!path) return undefined
  const at = resolveIn(folder, path)
  return readFile(at).catch((error: unknown) => {
    throw invalid(`${at} cannot be read`, error)
  })
}

function resolveIn(folder: string, path: string): string {
  return isAbsolute(path) ? path : join(folder, path)
}

function serverUrl(address: string, by: string): URL {
  const withScheme = /^[a-z]+:\/\//.test(address) ? address : `https://${address}`
  const url = URL.canParse(withScheme) ? new URL(withScheme) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw invalid(`${by}: ${JSON.stringify(address)} is no address of an API server`)
  }
  return url
}

function invalid(sentence: string, cause?: unknown): HatchwayError {
  const reason = cause instanceof Error ? ` (${messageOf(cause)})` : ''
  return new HatchwayError('CONFIG_INVALID', `Kubernetes: ${sentence}${reason}`, { cause })
}
