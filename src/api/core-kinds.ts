/**
 * Core Kubernetes kinds that a mesh reads, and our LocalWorkload. Part of kind-registry.ts.
 */
import { decodeConfigMapSpec } from './config-map.ts';
import {
  decodeEndpointSliceSpec,
  type EndpointSliceSpec,
  encodeEndpointSliceSpec,
} from './endpoint-slice.ts';
import { decodeEndpointsSpec } from './endpoints.ts';
import type { JsonObject } from './json-scalar.ts';
import type { KindInfo } from './kind-registry.ts';
import { decodeLocalWorkloadSpec, validateLocalWorkload } from './local-workload.ts';
import { decodeNamespaceSpec } from './namespace.ts';
import { decodeNodeSpec, encodeNodeSpec, type NodeSpec } from './node.ts';
import { decodePodSpec, encodePodSpec, type PodSpec } from './pod.ts';
import { decodeReferenceGrantSpec } from './reference-grant.ts';
import { decodeSecretSpec } from './secret.ts';
import { decodeServiceSpec, encodeServiceSpec, type ServiceSpec, validateService } from './service.ts';
import { decodeServiceAccountSpec } from './service-account.ts';
import { reportUnknown } from './shape-decode.ts';

const ROOT_FIELDS: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata', 'spec', 'status']);

type CoreRow = Pick<KindInfo, 'kind' | 'decode'> & Partial<KindInfo>;

function coreKind(row: CoreRow): KindInfo {
  const singular = row.kind.toLowerCase();
  return {
    group: '',
    versions: ['v1'],
    plural: `${singular}s`,
    singular,
    shortNames: [],
    namespaced: true,
    validate: () => [],
    encode: (spec) => spec as JsonObject,
    ...row,
  };
}

/** Core kinds and LocalWorkload, one row each. */
export const CORE_KINDS: readonly KindInfo[] = [
  coreKind({
    kind: 'Service',
    shortNames: ['svc'],
    decode(root, findings) {
      reportUnknown(Object.keys(root), ROOT_FIELDS, '', findings);
      return decodeServiceSpec(root, findings);
    },
    encode: (spec) => encodeServiceSpec(spec as ServiceSpec),
    validate: validateService as KindInfo['validate'],
  }),
  coreKind({
    kind: 'EndpointSlice',
    group: 'discovery.k8s.io',
    decode: decodeEndpointSliceSpec,
    encode: (spec) => encodeEndpointSliceSpec(spec as EndpointSliceSpec),
  }),
  coreKind({ kind: 'Endpoints', plural: 'endpoints', shortNames: ['ep'], decode: decodeEndpointsSpec }),
  coreKind({
    kind: 'Pod',
    shortNames: ['po'],
    decode: decodePodSpec,
    encode: (spec) => encodePodSpec(spec as PodSpec),
  }),
  coreKind({
    kind: 'Node',
    shortNames: ['no'],
    namespaced: false,
    decode: decodeNodeSpec,
    encode: (spec) => encodeNodeSpec(spec as NodeSpec),
  }),
  coreKind({ kind: 'Namespace', shortNames: ['ns'], namespaced: false, decode: decodeNamespaceSpec }),
  coreKind({ kind: 'Secret', decode: decodeSecretSpec }),
  coreKind({ kind: 'ConfigMap', shortNames: ['cm'], decode: decodeConfigMapSpec }),
  coreKind({ kind: 'ServiceAccount', shortNames: ['sa'], decode: decodeServiceAccountSpec }),
  coreKind({
    kind: 'ReferenceGrant',
    group: 'gateway.networking.k8s.io',
    versions: ['v1beta1', 'v1'],
    shortNames: ['refgrant'],
    decode: decodeReferenceGrantSpec,
    encode: (spec) => ({ spec }) as JsonObject,
  }),
  coreKind({
    kind: 'LocalWorkload',
    group: 'lateen.dev',
    versions: ['v1alpha1'],
    shortNames: ['lw'],
    decode(root, findings, metadata) {
      reportUnknown(Object.keys(root), ROOT_FIELDS, '', findings);
      return decodeLocalWorkloadSpec(root, findings, metadata);
    },
    encode: (spec) => ({ spec }) as JsonObject,
    validate: validateLocalWorkload as KindInfo['validate'],
  }),
];
