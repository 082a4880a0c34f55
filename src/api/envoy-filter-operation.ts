/**
 * What an operation of an EnvoyFilter's patch does, by applyTo: some combinations do nothing in Istio, and inserting at a
 * place is adding where parts have no order. Source: istio pilot/pkg/networking/core/envoyfilter, one loop per applyTo;
 * pilot/pkg/model/envoyfilter.go convertToEnvoyFilterWrapper.
 */
import type {
  EnvoyFilter_ApplyToJson,
  EnvoyFilter_PatchJson,
} from '#proto/istio/networking/v1alpha3/envoy_filter_pb.ts';

/** patch.operation. */
export type PatchOperation = NonNullable<EnvoyFilter_PatchJson['operation']>;

const MERGES = ['MERGE', 'MERGE_AND_REPLACE_LIST'] as const;
const INSERTS = ['INSERT_FIRST', 'INSERT_BEFORE', 'INSERT_AFTER'] as const;
/** Lists of filters have an order; their own merge knows no MERGE_AND_REPLACE_LIST. */
const OF_FILTERS = ['MERGE', 'ADD', ...INSERTS, 'REPLACE', 'REMOVE'] as const;

const OPERATIONS: Readonly<Record<EnvoyFilter_ApplyToJson, readonly PatchOperation[]>> = {
  INVALID: [],
  LISTENER: [...MERGES, 'ADD', 'REMOVE'],
  FILTER_CHAIN: [...MERGES, 'ADD', 'REMOVE'],
  LISTENER_FILTER: OF_FILTERS,
  NETWORK_FILTER: OF_FILTERS,
  HTTP_FILTER: OF_FILTERS,
  ROUTE_CONFIGURATION: MERGES,
  VIRTUAL_HOST: [...MERGES, 'ADD', 'REPLACE', 'REMOVE'],
  HTTP_ROUTE: [...MERGES, 'ADD', ...INSERTS, 'REMOVE'],
  CLUSTER: [...MERGES, 'ADD', 'REMOVE'],
  EXTENSION_CONFIG: ['ADD'],
  // The agent writes the bootstrap before it asks anybody.
  BOOTSTRAP: [],
};

/** The operation that is carried out; undefined for one that does nothing. */
export function effectiveOperation(
  applyTo: EnvoyFilter_ApplyToJson,
  operation: PatchOperation,
): PatchOperation | undefined {
  const known = OPERATIONS[applyTo];
  if (known.includes(operation)) return operation;
  const isInsert = (INSERTS as readonly PatchOperation[]).includes(operation);
  return isInsert && known.includes('ADD') ? 'ADD' : undefined;
}
