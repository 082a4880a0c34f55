/**
 * Names of other resources in a patch value: clusters that it sends to, route configurations that it asks for. Resources
 * that a patch shaped keep these alive until the client has let go of them. One name too many only delays its removal.
 * Beside them the secrets that it fetches from the control plane.
 */

/** Fields of Envoy's messages that hold such names, in both spellings. Source: envoy.config.route.v3, tcp_proxy, core GrpcService. */
const NAME_FIELDS: ReadonlySet<string> = new Set([
  'cluster',
  'clusterName',
  'cluster_name',
  'routeConfigName',
  'route_config_name',
]);
const MAX_REFERENCES = 64;

/** A JSON object of a value. */
type Fields = Readonly<Record<string, unknown>>;

/** The names in a value as JSON, each once. The value is bounded in depth by the decoder. */
export function valueReferences(value: unknown): readonly string[] {
  const found = new Set<string>();
  walk(value, found, (fields) => {
    for (const [field, inner] of Object.entries(fields)) {
      if (NAME_FIELDS.has(field)) add(inner, found);
      // Weighted clusters: { clusters: [{ name, weight }] }.
      if (field === 'clusters' && Array.isArray(inner))
        for (const item of inner) add((item as Fields | null)?.['name'], found);
    }
  });
  return [...found];
}

/** Names of the secrets over ADS in a value as JSON, each once. Source: Envoy SdsSecretConfig. */
export function valueSecrets(value: unknown): readonly string[] {
  const found = new Set<string>();
  walk(value, found, ({ name, sdsConfig, sds_config: spelledOtherwise }) => {
    const source = (sdsConfig ?? spelledOtherwise) as Fields | null | undefined;
    if (typeof source === 'object' && source !== null && 'ads' in source) add(name, found);
  });
  return [...found];
}

/** Visits every object in the value, until enough is found. */
function walk(value: unknown, found: ReadonlySet<string>, visit: (fields: Fields) => void): void {
  if (typeof value !== 'object' || value === null || found.size >= MAX_REFERENCES) return;
  if (!Array.isArray(value)) visit(value as Fields);
  for (const inner of Object.values(value)) walk(inner, found, visit);
}

function add(name: unknown, found: Set<string>): void {
  if (typeof name === 'string' && name !== '' && found.size < MAX_REFERENCES) found.add(name);
}
