/** Paths, answers and stored forms of the API server for tests (api-server-fixture.ts). */
import type { ServerResponse } from 'node:http';
import type { ApiResource, KubeObject } from './api-resource.ts';

type Response = Pick<ServerResponse, 'write' | 'writeHead' | 'end'>;

/** The parts of a path; '' for what it does not have. */
export function readPath(path: string): {
  readonly resource: { readonly group: string; readonly plural: string };
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
  /** What of an object: `status`. */
  readonly part: string;
} {
  const [, root = '', ...rest] = path.split('/');
  const [group = '', version = '', ...parts] = root === 'api' ? ['', ...rest] : rest;
  const isNamespaced = parts[0] === 'namespaces' && parts.length > 2;
  const [plural = '', name = '', part = ''] = isNamespaced ? parts.slice(2) : parts;
  return {
    resource: { group, plural },
    namespace: isNamespaced ? (parts[1] ?? '') : '',
    name,
    version,
    part,
  };
}

export function hasOwnStatus({ group }: Pick<ApiResource, 'group'>): boolean {
  return group.endsWith('istio.io');
}

/** What a write leaves: of the new one either nothing but the status, or all but that. */
export function withStatusOf(object: KubeObject, old: KubeObject | undefined, isStatus: boolean): KubeObject {
  if (isStatus) return { ...(old ?? object), status: object['status'] };
  const { status: _ignored, ...rest } = object;
  return old?.['status'] === undefined ? rest : { ...rest, status: old['status'] };
}

/** Of field selectors only metadata.name=… is heeded. */
export function selection(namespace: string, fieldSelector: string): (object: KubeObject) => boolean {
  const [, wanted] = /^metadata\.name=([^,]+)$/.exec(fieldSelector) ?? [];
  return ({ metadata }) =>
    (namespace === '' || metadata.namespace === namespace) &&
    (wanted === undefined || metadata.name === wanted);
}

export function writeLine(response: Response, value: unknown): void {
  response.write(`${JSON.stringify(value)}\n`);
}

export function reply(response: Response, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

export function refuse(response: Response, code: number, reason: string, message: string): void {
  reply(response, code, { kind: 'Status', status: 'Failure', code, reason, message });
}
