/**
 * Durations of the API as protobuf messages. Specs reach this layer checked, so the text is well formed; a text that is
 * not gives zero, which Envoy reads as "none" wherever these builders use it.
 */
import { create } from '@bufbuild/protobuf';
import { type Duration, DurationSchema } from '@bufbuild/protobuf/wkt';
import { parseDurationNanos } from '#api/duration.ts';

const NANOS_PER_SECOND = 1_000_000_000n;

/** A duration such as "1.5s" as a message. */
export function parseDuration(text: string): Duration {
  const nanos = parseDurationNanos(text) ?? 0n;
  return create(DurationSchema, {
    seconds: nanos / NANOS_PER_SECOND,
    nanos: Number(nanos % NANOS_PER_SECOND),
  });
}

/** Zero: for Envoy's timeouts it means that there is none. */
export function noDuration(): Duration {
  return create(DurationSchema);
}
