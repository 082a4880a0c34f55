/** Asks an API server which versions of a group it serves, and in which of them a resource exists. */
import type { KubeClient } from './kube-client.ts';
import { KubeError } from './kube-error.ts';

/** Versions of a group in the server's order; undefined when the server does not know the group (yet). */
export async function servedVersions(
  client: KubeClient,
  group: string,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  const value = await getOrMissing(client, `/apis/${group}`, signal);
  const versions = (value as { readonly versions?: unknown } | undefined)?.versions;
  if (!Array.isArray(versions)) return undefined;
  return versions
    .map((item) => (item as { readonly version?: unknown } | null)?.version)
    .filter((text) => typeof text === 'string');
}

/** Plural names of the resources of a version; undefined when the server does not know the version, or names none. */
export async function servedResources(
  client: KubeClient,
  group: string,
  version: string,
  signal: AbortSignal,
): Promise<ReadonlySet<string> | undefined> {
  const value = await getOrMissing(client, `/apis/${group}/${version}`, signal);
  const resources = (value as { readonly resources?: unknown } | undefined)?.resources;
  if (!Array.isArray(resources) || resources.length === 0) return undefined;
  const names = resources.map((item) => (item as { readonly name?: unknown } | null)?.name);
  return new Set(names.filter((name) => typeof name === 'string'));
}

async function getOrMissing(client: KubeClient, path: string, signal: AbortSignal): Promise<unknown> {
  try {
    return await client.getJson({ path, signal });
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw error;
  }
}
