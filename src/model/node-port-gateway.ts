/**
 * Gateways of networks behind Services of type NodePort: they are reached at the external addresses of the nodes that the
 * Service's annotation selects, at the ports that the nodes have for it. Pure.
 * Source: istio serviceregistry/kube/controller/network.go updateServiceNodePortAddresses, kube/conversion.go ConvertService.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { NodeSpec } from '#api/node.ts';
import type { ServiceSpec } from '#api/service.ts';
import { type Labels, matchesLabels } from './workload-labels.ts';

const SELECTOR_ANNOTATION = 'traffic.istio.io/nodeSelector';

/** A node that can be reached from outside. */
export interface ExternalNode {
  readonly address: string;
  readonly labels: Labels;
}

/** How such a Service is reached from outside. */
export interface NodePortDoor {
  readonly addresses: readonly string[];
  /** By the Service's ports. */
  readonly nodePorts: Readonly<Record<number, number>>;
}

/** Undefined for a node without an address of its own outside. */
export function externalNode({ spec, labels }: MeshObject<NodeSpec>): ExternalNode | undefined {
  const found = spec.addresses.find(({ type, address }) => type === 'ExternalIP' && address !== '');
  return found === undefined ? undefined : { address: found.address, labels };
}

/** True for a Service whose gateways stand on nodes. */
export function isNodePortGateway({ spec, annotations }: MeshObject<ServiceSpec>): boolean {
  return spec.type === 'NodePort' && Object.hasOwn(annotations, SELECTOR_ANNOTATION);
}

/** The door of such a Service; a selector that cannot be read selects every node. */
export function nodePortDoor(
  { spec, annotations }: MeshObject<ServiceSpec>,
  nodes: Iterable<ExternalNode>,
): NodePortDoor {
  const selector = readSelector(annotations[SELECTOR_ANNOTATION] ?? '');
  const selected = [...nodes].filter(({ labels }) => matchesLabels(selector, labels));
  return {
    addresses: selected.map(({ address }) => address),
    nodePorts: Object.fromEntries(spec.ports.map(({ port, nodePort }) => [port, nodePort])),
  };
}

function readSelector(text: string): Labels {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
    const entries = Object.entries(value);
    return entries.every(([, wanted]) => typeof wanted === 'string') ? Object.fromEntries(entries) : {};
  } catch {
    return {};
  }
}
