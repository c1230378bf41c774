/** What a gateway says over its control socket: the schema by which the client reads is the type of what the server sends. */
import { z } from 'zod'

const endpoint = z.object({ address: z.string(), port: z.number() })

/** `engine`: its name, where there are several. */
const container = z.object({ id: z.string(), name: z.string(), engine: z.string().optional() })

const session = z.object({
  id: z.string(),
  state: z.enum(['created', 'running', 'stopped']),
  connectionId: z.string(),
  identity: z.object({ name: z.string(), fingerprint: z.string() }),
  remote: endpoint,
  container,
  user: z.string(),
  start: z.enum(['shell', 'exec', 'subsystem']),
  command: z.string().optional(),
  tty: z.boolean(),
  bytesIn: z.number(),
  bytesOut: z.number(),
  /** Absent: an older gateway, which runs on while its program is replaced. So are all fields that came later. */
  activeAt: z.number().optional(),
  createdAt: z.number(),
  runningAt: z.number().optional(),
  stoppedAt: z.number().optional(),
  end: z
    .union([
      z.object({ code: z.number() }),
      z.object({ signal: z.string(), coreDumped: z.boolean() }),
      z.object({ failure: z.string(), message: z.string() }),
    ])
    .optional(),
})

const listener = z.object({
  kind: z.enum(['local', 'remote', 'agent', 'x11']),
  place: z.string(),
  container,
  user: z.string(),
  openedAt: z.number(),
})

const connection = z.object({
  connectionId: z.string(),
  identity: z.object({ name: z.string(), fingerprint: z.string() }),
  remote: endpoint,
  login: z.string(),
  /** Absent also: one to the gateway itself, or to a template whose container is not made yet. */
  container: container.optional(),
  connectedAt: z.number(),
  activeAt: z.number(),
  bytesIn: z.number(),
  bytesOut: z.number(),
  sessions: z.array(session).readonly(),
  forwards: z.array(listener.extend({ bytesIn: z.number(), bytesOut: z.number() })).readonly(),
  listeners: z.array(listener).readonly(),
})

/** GET /status */
const statusAnswer = z.object({
  pid: z.number(),
  /** Milliseconds since the epoch. */
  startedAt: z.number(),
  endpoints: z.array(endpoint).readonly(),
  /** "ssh-ed25519 AAAA...": which gateway it is, to who has these pinned. */
  hostKeys: z.array(z.string()).readonly().default([]),
  /** Of the program that it runs, whatever its files are now. */
  version: z.string().optional(),
  /** It takes no new connections, and ends with those that it has. */
  isDraining: z.boolean().optional(),
})

/** GET /sessions */
export const sessionsAnswer = statusAnswer.extend({ sessions: z.array(session).readonly() })

/** GET /connections */
export const connectionsAnswer = statusAnswer.extend({ connections: z.array(connection).readonly() })

/** POST /sessions/ID/kill, POST /connections/ID/kill */
export const killAnswer = z.object({ killed: z.boolean() })

/** POST /reload */
export const reloadAnswer = statusAnswer.extend({
  /** Keys that may log in. */
  keys: z.number(),
  /** Why the configuration stays as it was; empty: it was taken over. */
  problems: z.array(z.string()).readonly(),
  /** Keys of the configuration that need a restart. */
  restart: z.array(z.string()).readonly(),
  /** Sessions and forwards that were ended. */
  ended: z.number(),
})

/** POST /restart */
export const restartAnswer = statusAnswer.extend({
  /** The gateway that took over. Absent: this one goes on, or had handed over before. */
  successor: z.object({ pid: z.number(), version: z.string() }).optional(),
  /** Why this gateway goes on. */
  problem: z.string().optional(),
  /** That go on in this one. */
  open: z.number(),
})

/** POST /drain */
export const drainAnswer = statusAnswer.extend({ open: z.number() })

/** POST /admin-token?NAME */
export const adminTokenAnswer = statusAnswer.extend({
  /** Absent: it serves no admin page. */
  token: z.object({ secret: z.string(), endsAt: z.number(), place: z.string().optional() }).optional(),
})

export type ControlAdminToken = Readonly<z.output<typeof adminTokenAnswer>>
export type ControlStatus = Readonly<z.output<typeof statusAnswer>>
export type ControlSessions = Readonly<z.output<typeof sessionsAnswer>>
export type ControlConnections = Readonly<z.output<typeof connectionsAnswer>>
export type ControlKill = Readonly<z.output<typeof killAnswer>>
export type ControlReload = Readonly<z.output<typeof reloadAnswer>>
export type ControlRestart = Readonly<z.output<typeof restartAnswer>>
export type ControlDrain = Readonly<z.output<typeof drainAnswer>>
/** What a reload did; the answer also says whose it is. */
export type ReloadOutcome = Omit<ControlReload, keyof ControlStatus>
export type RestartOutcome = Omit<ControlRestart, keyof ControlStatus>
export type DrainOutcome = Omit<ControlDrain, keyof ControlStatus>
export type SessionRow = ControlSessions['sessions'][number]
export type ConnectionRow = ControlConnections['connections'][number]
