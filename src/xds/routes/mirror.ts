/** Mirroring of requests to further clusters. Pure. */
import { create } from '@bufbuild/protobuf';
import {
  type RouteAction_RequestMirrorPolicy,
  RouteAction_RequestMirrorPolicySchema,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import type { FractionalPercent } from '#proto/envoy/type/v3/percent_pb.ts';
import type { HTTPRouteJson, PercentJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import { buildFraction, buildWholeFraction, percentValue } from './percent.ts';

/** Clusters of one route's mirrors: `single` for spec `mirror`, `several` in parallel with spec `mirrors`. */
export interface MirrorClusters {
  readonly single: string;
  readonly several: readonly string[];
}

/** Builds the mirror policies; a percentage that is given as zero mirrors nothing, none given mirrors all. */
export function buildMirrors(
  http: HTTPRouteJson,
  clusters: MirrorClusters,
  shadowSuffix: boolean,
): RouteAction_RequestMirrorPolicy[] {
  const policies: RouteAction_RequestMirrorPolicy[] = [];
  if (http.mirror !== undefined) {
    const fraction = singleFraction(http);
    if (fraction !== undefined) policies.push(policy(clusters.single, fraction, shadowSuffix));
  }
  (http.mirrors ?? []).forEach((mirror, i) => {
    const fraction = optionalFraction(mirror.percentage);
    const cluster = clusters.several[i];
    if (fraction !== undefined && mirror.destination !== undefined && cluster !== undefined) {
      policies.push(policy(cluster, fraction, shadowSuffix));
    }
  });
  return policies;
}

function singleFraction(http: HTTPRouteJson): FractionalPercent | undefined {
  if (http.mirrorPercentage !== undefined) return optionalFraction(http.mirrorPercentage);
  if (http.mirrorPercent === undefined) return buildWholeFraction(100);
  return http.mirrorPercent > 0 ? buildWholeFraction(http.mirrorPercent) : undefined;
}

function optionalFraction(percentage: PercentJson | undefined): FractionalPercent | undefined {
  if (percentage === undefined) return buildWholeFraction(100);
  return percentValue(percentage) > 0 ? buildFraction(percentage) : undefined;
}

function policy(
  cluster: string,
  fraction: FractionalPercent,
  shadowSuffix: boolean,
): RouteAction_RequestMirrorPolicy {
  return create(RouteAction_RequestMirrorPolicySchema, {
    cluster,
    runtimeFraction: { defaultValue: fraction },
    traceSampled: false,
    disableShadowHostSuffixAppend: !shadowSuffix,
  });
}
