/** Quantiles of a Prometheus histogram, by linear interpolation within the bucket, as Prometheus computes them. Pure. */

/** Cumulative counts by upper bound; the bound +Infinity is the total. */
export type Buckets = ReadonlyMap<number, number>;

/** The value below which a share `quantile` of the observations lies; undefined without observations. */
export function histogramQuantile(buckets: Buckets, quantile: number): number | undefined {
  const sorted = [...buckets].sort(([a], [b]) => a - b);
  const total = sorted.at(-1)?.[1] ?? 0;
  if (total <= 0) return undefined;
  const rank = quantile * total;
  let lowerBound = 0;
  let lowerCount = 0;
  for (const [bound, count] of sorted) {
    if (count >= rank) {
      if (bound === Number.POSITIVE_INFINITY) return lowerBound;
      const inBucket = count - lowerCount;
      return inBucket <= 0 ? bound : lowerBound + ((bound - lowerBound) * (rank - lowerCount)) / inBucket;
    }
    lowerBound = bound;
    lowerCount = count;
  }
  return lowerBound;
}
