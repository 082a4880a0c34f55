/** Values of Envoy's messages in our units. */
import type { Duration } from '@bufbuild/protobuf/wkt';

/** Milliseconds, 0 when not given. */
export function durationMs(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Number(duration.seconds) * 1000 + duration.nanos / 1_000_000;
}
