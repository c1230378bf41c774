/** `hatchway ls`: lists the containers. */
import { HatchwayError } from '../base/errors.ts'
import type { Config } from '../config/schema.ts'
import { LABELS } from '../container/templates/template.ts'
import type { ContainerSummary } from '../engine/engine.ts'
import { engineLimit, withReason } from '../engine/messages.ts'
import { openEngines } from '../engine/open.ts'
import { shortId } from '../engine/ref.ts'
import { deadline } from '../lifetime/deadline.ts'
import { portList } from './ports.ts'
import { type Column, table, terminalWidth } from './table.ts'
import { warningsOf } from './warnings.ts'

const ENGINE_MS = 20_000

export interface LsOptions {
  readonly json: boolean
  readonly running: boolean
  /** Also what few ask for: volumes and labels. */
  readonly wide: boolean
}

export async function ls(config: Config, options: LsOptions): Promise<string> {
  const signal = deadline(engineLimit('listing containers', ENGINE_MS))
  const engine = await openEngines(config, signal)
  try {
    const containers = await engine.list(signal)
    const away = engine.parts?.unanswered() ?? []
    for (const { error } of away) process.stderr.write(`hatchway: ${withReason(error).message}\n`)
    const [first] = away
    if (first && away.length === engine.parts?.all.length)
      throw new HatchwayError(first.error.code, 'no container engine can be asked now')
    const rows = containers.filter(({ state }) => !options.running || state === 'running').map(lsRow)
    rows.sort((a, b) => Number(b.state === 'running') - Number(a.state === 'running') || (a.name < b.name ? -1 : 1))
    if (options.json) return `${JSON.stringify(rows, null, 2)}\n`
    if (rows.length === 0) return `no containers at ${engine.endpoint}\n`
    return lsTable(rows, options.wide, terminalWidth())
  } finally {
    await engine.close()
  }
}

export type LsRow = ReturnType<typeof lsRow>

export function lsTable(rows: readonly LsRow[], wide: boolean, width: number | undefined): string {
  return table(wide ? [...COLUMNS, ...WIDE_COLUMNS] : COLUMNS, rows, width)
}

export function lsRow(container: ContainerSummary) {
  const { name, id, engine, image, state, status, createdAt, labels, mounts } = container
  const owner = labels[LABELS.owner] === undefined ? undefined : labels[LABELS.ownerName]
  return {
    name,
    ...(engine !== undefined && { engine }),
    id,
    // Of one that was made from a template: whom it was made for.
    ...(owner !== undefined && { owner }),
    image,
    state,
    status,
    createdAt,
    ports: portList(container.ports),
    volumes: mounts.map((mount) => `${mount.source}:${mount.destination}${mount.readOnly ? ':ro' : ''}`),
    labels,
    warnings: warningsOf(container),
  }
}

const COLUMNS: readonly Column<LsRow>[] = [
  { head: 'NAME', cell: (row) => row.name, keep: true },
  { head: 'ENGINE', cell: (row) => row.engine ?? '', least: 6 },
  { head: 'STATE', cell: (row) => row.status || row.state, least: 8 },
  { head: 'OWNER', cell: (row) => row.owner ?? '', least: 6 },
  { head: 'IMAGE', cell: (row) => row.image, least: 8 },
  { head: 'PORTS', cell: (row) => row.ports.join(', '), least: 12 },
  { head: 'WARNINGS', cell: (row) => row.warnings.join('; '), least: 12 },
]
const WIDE_COLUMNS: readonly Column<LsRow>[] = [
  { head: 'ID', cell: (row) => shortId(row.id), keep: true, least: 12 },
  { head: 'VOLUMES', cell: (row) => row.volumes.join(', '), least: 12 },
  { head: 'LABELS', cell: (row) => labelCell(row.labels), least: 12 },
]

/** Skips the dozen labels by which an image describes itself; --json has them all. */
function labelCell(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .filter(([key]) => !key.startsWith('org.opencontainers.') && !key.startsWith('org.label-schema.'))
    .map(([key, value]) => (value === '' ? key : `${key}=${value}`))
    .join(', ')
}
