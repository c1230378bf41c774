// Numbers about numbers.
export function median(values) {
  return percentile(values, 50)
}

/** Nearest rank; the median of an even count is the mean of the middle two. */
export function percentile(values, percent) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  if (percent === 50 && Number.isInteger(middle)) return (sorted[middle - 1] + sorted[middle]) / 2
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)]
}

/** The median of the rounds' own ratios: what slows a whole round down slows both sides. */
export function pairedRatio(values, reference) {
  const ratios = values.flatMap((value, round) =>
    value === undefined || !reference[round] ? [] : [value / reference[round]],
  )
  return ratios.length === 0 ? undefined : median(ratios)
}
