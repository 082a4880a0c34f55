/**
 * What a request may do, as RBAC permissions: host, method, path, port, destination address, server name, metadata.
 * Source: istio pilot/pkg/security/authz/model/{generator,permission}.go.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { PermissionSchema } from '#proto/envoy/config/rbac/v3/rbac_pb.ts';
import { UriTemplateMatchConfigSchema } from '#proto/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.ts';
import { packAny } from '#xds/encode.ts';
import { each, type KeyEntry, type Logic } from './authorization-condition.ts';
import {
  anyValue,
  listWith,
  matchAddress,
  matchHeader,
  matchMetadata,
  matchText,
  stringValue,
} from './authorization-matcher.ts';

export type Permission = MessageInitShape<typeof PermissionSchema>;
type PermissionRule = NonNullable<Permission['rule']>;

/** Keys of the fields of an operation; the others are what users write under `when`. */
export const HOST_KEY = 'operation.hosts';
export const METHOD_KEY = 'operation.methods';
export const PATH_KEY = 'operation.paths';
export const PORT_KEY = 'destination.port';

const FILTER_KEY_PREFIX = 'experimental.envoy.filters.';
const ONE_SEGMENT = '{*}';
const ANY_SEGMENTS = '{**}';
/** A literal segment next to a wildcard one; Envoy refuses other characters. */
const TEMPLATE_LITERAL = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]+$/;

export const PERMISSION_LOGIC: Logic<Permission> = {
  any: (parts) => ({ rule: { case: 'orRules', value: { rules: [...parts] } } }),
  not: (part) => ({ rule: { case: 'notRule', value: part as never } }),
};

/** All parts together; none at all is every request. */
export function allPermissions(parts: readonly Permission[]): Permission {
  const rules = parts.length === 0 ? [anyPermission()] : [...parts];
  return { rule: { case: 'andRules', value: { rules } } };
}

export function anyPermission(): Permission {
  return { rule: { case: 'any', value: true } };
}

export const PERMISSION_KEYS: readonly KeyEntry<Permission>[] = [
  {
    key: HOST_KEY,
    httpOnly: true,
    // Host names are the same in any case (security case T4).
    alternatives: each((host) => permission('header', matchHeader(':authority', host, true))),
  },
  {
    key: METHOD_KEY,
    httpOnly: true,
    alternatives: each((method) => permission('header', matchHeader(':method', method))),
  },
  { key: PATH_KEY, httpOnly: true, alternatives: each(pathPermission) },
  {
    key: PORT_KEY,
    httpOnly: false,
    alternatives: each((text) => permission('destinationPort', parsePort(text))),
  },
  {
    key: 'destination.ip',
    httpOnly: false,
    alternatives: each((text) => permission('destinationIp', matchAddress(text))),
  },
  {
    key: 'connection.sni',
    httpOnly: false,
    alternatives: each((name) => permission('requestedServerName', matchText(name))),
  },
];

/** Keys `experimental.envoy.filters.NAME[KEY]`: metadata of any filter, as a string or, with a value `[v]`, a list. */
export const FILTER_METADATA_ENTRY: KeyEntry<Permission> = {
  key: FILTER_KEY_PREFIX,
  httpOnly: false,
  standsAlone: true,
  alternatives: (values, _context, key) => {
    const match = /^experimental\.(envoy\.filters\.[^[]*)\[(.+)\]$/.exec(key);
    const [, filter, name] = match ?? [];
    if (filter === undefined || name === undefined) return [undefined];
    const alternatives = values.map((value) =>
      value.startsWith('[') && value.endsWith(']')
        ? listWith(stringValue(matchText(value.slice(1, -1))))
        : stringValue(matchText(value)),
    );
    return [permission('metadata', matchMetadata(filter, [name], anyValue(alternatives)))];
  },
};

/** True for the keys that `FILTER_METADATA_ENTRY` serves. */
export function isFilterMetadataKey(key: string): boolean {
  return key.startsWith(FILTER_KEY_PREFIX);
}

function permission<C extends PermissionRule['case']>(
  kind: C,
  value: Extract<PermissionRule, { case?: C }>['value'] | undefined,
): Permission | undefined {
  return value === undefined ? undefined : { rule: { case: kind, value } as PermissionRule };
}

function pathPermission(path: string): Permission | undefined {
  if (!path.includes(ONE_SEGMENT) && !path.includes(ANY_SEGMENTS)) {
    return permission('urlPath', { rule: { case: 'path', value: matchText(path) } });
  }
  if (!isPathTemplate(path)) return undefined;
  const pathTemplate = path.replaceAll(ANY_SEGMENTS, '**').replaceAll(ONE_SEGMENT, '*');
  const config = create(UriTemplateMatchConfigSchema, { pathTemplate });
  const typedConfig = packAny(UriTemplateMatchConfigSchema, config);
  return permission('uriTemplate', { name: 'uri-template', typedConfig });
}

/** Whole segments are literals or wildcards, and no wildcard follows `{**}`. Source: istio pkg/config/security CheckValidPathTemplate. */
function isPathTemplate(path: string): boolean {
  if (!path.startsWith('/')) return false;
  const segments = path.replace(/^\/+|\/+$/g, '').split('/');
  const last = segments.indexOf(ANY_SEGMENTS);
  return segments.every((segment, at) => {
    if (segment === ONE_SEGMENT || segment === ANY_SEGMENTS) return last < 0 || at <= last;
    return TEMPLATE_LITERAL.test(segment);
  });
}

function parsePort(text: string): number | undefined {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return port <= 65_535 ? port : undefined;
}
