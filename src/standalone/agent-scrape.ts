/** One look at an agent's metrics, bounded in time and size. */
import { get } from 'node:http';

/** What is asked: a replica and where its agent answers. */
export interface WatchedReplica {
  /** `namespace/name-N`. */
  readonly subject: string;
  readonly plan: { readonly addresses: { readonly proxy: string } };
}

const METRICS_PORT = 15020;
const METRICS_PATH = '/stats/prometheus';
const TIMEOUT_MS = 1500;
const MAX_BYTES = 16 * 1024 * 1024;

/** The metrics of a replica's agent and Envoy as text; '' when they are not to be had. */
export function scrapeAgent(replica: WatchedReplica): Promise<string> {
  return fetchMetrics(replica.plan.addresses.proxy).catch(() => '');
}

function fetchMetrics(host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      host,
      port: METRICS_PORT,
      path: METRICS_PATH,
      agent: false,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    };
    const call = get(options, (answer) => {
      const chunks: Buffer[] = [];
      let sizeBytes = 0;
      answer.on('data', (chunk: Buffer) => {
        sizeBytes += chunk.length;
        if (sizeBytes > MAX_BYTES) call.destroy(new Error('too much'));
        else chunks.push(chunk);
      });
      answer.on('end', () => resolve(Buffer.concat(chunks).toString()));
      answer.on('error', reject);
    });
    call.on('error', reject);
  });
}
