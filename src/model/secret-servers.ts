/**
 * Who hands out secrets beside the agent of a proxy: what the agent found in its pod and says in node metadata. Proxies that differ
 * in it differ in the references to secrets, and in nothing else.
 * Source: Istio pkg/security CredentialMetaDataName, CredentialFileMetaDataName.
 */
import type { Proxy } from './proxy.ts';

/** Servers of secrets beside the agent's own. */
export interface SecretServers {
  /** One for credentials named `sds://…`. */
  readonly credentials: boolean;
  /** The workload's certificate comes from another agent; ours serves files at a socket of its own. */
  readonly files: boolean;
}

/** The agent hands out everything. */
export const AGENT_ONLY: SecretServers = { credentials: false, files: false };

/** The servers of one proxy. */
export function secretServersOf({ metadata }: Pick<Proxy, 'metadata'>): SecretServers {
  return { credentials: metadata['credential'] === 'true', files: metadata['file-credential'] === 'true' };
}
