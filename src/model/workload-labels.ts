/**
 * Labels with a meaning for the mesh: where a workload runs, and how it wants to be reached. Users choose label keys, so
 * label maps that are built here have no prototype.
 * Source: Istio pilot/pkg/serviceregistry/util/label and pkg/model (istio-locality).
 */
import type { Locality } from './proxy.ts';

export type Labels = Readonly<Record<string, string>>;

export const REGION_LABEL = 'topology.kubernetes.io/region';
export const ZONE_LABEL = 'topology.kubernetes.io/zone';
export const SUBZONE_LABEL = 'topology.istio.io/subzone';
export const CLUSTER_LABEL = 'topology.istio.io/cluster';
export const NETWORK_LABEL = 'topology.istio.io/network';
export const NODE_LABEL = 'kubernetes.io/hostname';
export const TLS_MODE_LABEL = 'security.istio.io/tlsMode';
/** Overrides a workload's locality; dots may stand for slashes, which label values may not hold. */
const LOCALITY_LABEL = 'istio-locality';
const OLD_REGION_LABEL = 'failure-domain.beta.kubernetes.io/region';
const OLD_ZONE_LABEL = 'failure-domain.beta.kubernetes.io/zone';

export const NO_LOCALITY: Locality = { region: '', zone: '', subzone: '' };

/** Where an endpoint is. */
export interface Place {
  readonly locality: Locality;
  readonly clusterId: string;
  readonly network: string;
  readonly nodeName: string;
}

/** A locality written as `region/zone/subzone`; missing parts are ''. */
export function parseLocality(text: string): Locality {
  const [region = '', zone = '', subzone = ''] = text.split('/');
  return { region, zone, subzone };
}

/** The locality that a workload's own labels ask for, or undefined when they do not say. */
export function localityOfLabel(labels: Labels): Locality | undefined {
  const text = labels[LOCALITY_LABEL];
  if (text === undefined || text === '') return undefined;
  return parseLocality(text.includes('/') ? text : text.replaceAll('.', '/'));
}

/** The locality that labels of a node (or of a LocalWorkload) describe by region, zone and subzone. */
export function localityOfTopology(labels: Labels): Locality {
  return {
    region: labels[REGION_LABEL] ?? labels[OLD_REGION_LABEL] ?? '',
    zone: labels[ZONE_LABEL] ?? labels[OLD_ZONE_LABEL] ?? '',
    subzone: labels[SUBZONE_LABEL] ?? '',
  };
}

/** A workload's labels together with the topology labels that subsets and failover priorities may name. */
export function withTopology(labels: Labels, place: Place): Labels {
  const all: Record<string, string> = Object.assign(Object.create(null), labels);
  setUnlessEmpty(all, REGION_LABEL, place.locality.region);
  setUnlessEmpty(all, ZONE_LABEL, place.locality.zone);
  setUnlessEmpty(all, SUBZONE_LABEL, place.locality.subzone);
  setUnlessEmpty(all, CLUSTER_LABEL, place.clusterId);
  setUnlessEmpty(all, NODE_LABEL, place.nodeName);
  if ((all[NETWORK_LABEL] ?? '') === '') setUnlessEmpty(all, NETWORK_LABEL, place.network);
  return all;
}

/** Whether a workload's labels say that its sidecar accepts mesh mTLS. */
export function tlsModeOfLabels(labels: Labels): 'istio' | 'disabled' {
  return labels[TLS_MODE_LABEL] === 'istio' ? 'istio' : 'disabled';
}

/** True when every label of the selector is there with the same value. */
export function matchesLabels(selector: Labels, labels: Labels): boolean {
  return Object.keys(selector).every((key) => Object.hasOwn(labels, key) && labels[key] === selector[key]);
}

function setUnlessEmpty(labels: Record<string, string>, key: string, value: string): void {
  if (value !== '') labels[key] = value;
}
