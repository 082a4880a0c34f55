/**
 * Names of other resources in a patch value: clusters that it sends to, route configurations that it asks for. Resources
 * that a patch shaped keep these alive until the client has let go of them. One name too many only delays its removal.
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

/** The names in a value as JSON, each once. The value is bounded in depth by the decoder. */
export function valueReferences(value: unknown): readonly string[] {
  const found = new Set<string>();
  collect(value, found);
  return [...found];
}

function collect(value: unknown, found: Set<string>): void {
  if (typeof value !== 'object' || value === null || found.size >= MAX_REFERENCES) return;
  if (Array.isArray(value)) {
    for (const item of value) collect(item, found);
    return;
  }
  for (const [field, inner] of Object.entries(value)) {
    if (NAME_FIELDS.has(field)) add(inner, found);
    // Weighted clusters: { clusters: [{ name, weight }] }.
    if (field === 'clusters' && Array.isArray(inner))
      for (const item of inner) add((item as { readonly name?: unknown } | null)?.name, found);
    collect(inner, found);
  }
}

function add(name: unknown, found: Set<string>): void {
  if (typeof name === 'string' && name !== '' && found.size < MAX_REFERENCES) found.add(name);
}
