/**
 * The little that the mesh reads of statuses: addresses that are recorded for hosts of a ServiceEntry, and whether the health
 * checks of a WorkloadEntry succeed. Statuses are written by controllers, so what cannot be read is left out without a word.
 */
import { isIp } from '#base/cidr.ts';
import { isJsonObject, type JsonObject } from './json-scalar.ts';

/** What is read. */
export interface ObjectStatus {
  /** Automatically allocated addresses of a ServiceEntry. */
  readonly addresses?: readonly { readonly host: string; readonly value: string }[];
  /** Condition `Healthy` of a WorkloadEntry. */
  readonly healthy?: boolean;
}

/** Far more than there are hosts in a ServiceEntry. */
const MAX_ENTRIES = 1024;

/** Reads the status of an object of a kind; undefined when it says nothing that the mesh reads. */
export function readStatus(kind: string, root: JsonObject): ObjectStatus | undefined {
  const { status } = root;
  if (!isJsonObject(status)) return undefined;
  if (kind === 'ServiceEntry') return readAddresses(status);
  return kind === 'WorkloadEntry' ? readHealth(status) : undefined;
}

/** The same in the form that an API server gives it. */
export function printStatus({ addresses, healthy }: ObjectStatus): JsonObject {
  const conditions = healthy === undefined ? [] : [{ type: 'Healthy', status: healthy ? 'True' : 'False' }];
  return {
    ...(addresses === undefined ? {} : { addresses: addresses.map(({ host, value }) => ({ host, value })) }),
    ...(conditions.length === 0 ? {} : { conditions }),
  };
}

function readAddresses(status: JsonObject): ObjectStatus | undefined {
  const addresses = objectsIn(status['addresses']).flatMap(({ host, value }) =>
    typeof host === 'string' && typeof value === 'string' && isIp(value) ? [{ host, value }] : [],
  );
  return addresses.length === 0 ? undefined : { addresses };
}

function readHealth(status: JsonObject): ObjectStatus | undefined {
  const condition = objectsIn(status['conditions']).find(({ type }) => type === 'Healthy');
  return condition === undefined ? undefined : { healthy: condition['status'] === 'True' };
}

function objectsIn(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.slice(0, MAX_ENTRIES).filter(isJsonObject) : [];
}
