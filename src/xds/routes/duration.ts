/**
 * Durations of the API ("1.5s", proto3 JSON) as protobuf messages. Specs reach this layer checked, so the text is well
 * formed; a text that is not gives zero, which Envoy reads as "none" wherever these builders use it.
 */
import { create } from '@bufbuild/protobuf';
import { type Duration, DurationSchema } from '@bufbuild/protobuf/wkt';

const DURATION_TEXT = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/;

/** Parses a proto3 JSON duration into a message. */
export function parseDuration(text: string): Duration {
  const parts = DURATION_TEXT.exec(text);
  if (parts === null) return create(DurationSchema);
  const sign = parts[1] === '-' ? -1 : 1;
  const nanos = Number((parts[3] ?? '').padEnd(9, '0'));
  return create(DurationSchema, { seconds: BigInt(sign * Number(parts[2])), nanos: sign * nanos });
}

/** Zero: for Envoy's timeouts it means that there is none. */
export function noDuration(): Duration {
  return create(DurationSchema);
}
