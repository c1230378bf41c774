/** Prometheus' text format 0.0.4 as OpenMetrics 1.0, which names a family of counters without the "_total" of its samples. */

export const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
export const OPENMETRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8'

export function toOpenMetrics(text: string): string {
  const counters = new Set([...text.matchAll(/^# TYPE (\S+)_total counter$/gm)].map(([, name]) => `${name}_total`))
  const family = (line: string) =>
    line.replace(/^# (HELP|TYPE) (\S+)_total /, (all, word: string, name: string) =>
      counters.has(`${name}_total`) ? `# ${word} ${name} ` : all,
    )
  const lines = text.split('\n').filter((line) => line !== '')
  return `${lines.map(family).join('\n')}\n# EOF\n`
}

/** Prometheus names it first in Accept; whoever names only text, or nothing, gets text. */
export function wantsOpenMetrics(accept: string): boolean {
  return accept.split(',').some((one) => {
    const [type = '', ...parameters] = one.split(';').map((part) => part.trim().toLowerCase())
    return type === 'application/openmetrics-text' && !parameters.includes('q=0')
  })
}
