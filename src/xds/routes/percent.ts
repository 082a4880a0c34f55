/** Istio's percentages as Envoy fractions: `percentage` in millionths, the old whole-number fields in hundredths. Pure. */
import { create } from '@bufbuild/protobuf';
import {
  type FractionalPercent,
  FractionalPercent_DenominatorType,
  FractionalPercentSchema,
} from '#proto/envoy/type/v3/percent_pb.ts';
import type { PercentJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';

const MILLIONTHS_PER_PERCENT = 10_000;

/** The value of a Percent, in percent; 0 when unset or no number. */
export function percentValue(percent: PercentJson): number {
  return typeof percent.value === 'number' ? percent.value : 0;
}

/** A Percent in millionths, cut off below as Istio does. */
export function buildFraction(percent: PercentJson): FractionalPercent {
  return create(FractionalPercentSchema, {
    numerator: Math.trunc(percentValue(percent) * MILLIONTHS_PER_PERCENT),
    denominator: FractionalPercent_DenominatorType.MILLION,
  });
}

/** A whole number of percent. */
export function buildWholeFraction(percent: number): FractionalPercent {
  return create(FractionalPercentSchema, {
    numerator: percent,
    denominator: FractionalPercent_DenominatorType.HUNDRED,
  });
}
