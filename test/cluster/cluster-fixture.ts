/**
 * A real API server (control plane only, from the kube harness), for tests that are skipped where the harness is not built:
 * KUBE_HARNESS names its folder (kube.sh), KUBE_BIN its binary. Each test file has ports of its own.
 */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Crd, ISTIO_CRDS } from '#api/crds.gen.ts';
import type { KubeTarget } from '#kube/kube-target.ts';
import { readKubeconfig } from '#kube/kubeconfig.ts';

const harness = process.env['KUBE_HARNESS'] ?? join(import.meta.dirname, '../../../shared/kube-harness');
const binary = process.env['KUBE_BIN'] ?? join(harness, 'bin/kube');
const script = join(harness, 'kube.sh');

/** False where there is a cluster to be had, else why not. */
export const NO_CLUSTER: false | string =
  existsSync(binary) && existsSync(script) ? false : 'the kube harness is not built (KUBE_HARNESS, KUBE_BIN)';

/** One cluster until disposed of. */
export class ClusterFixture implements AsyncDisposable {
  readonly folder: string;
  readonly #port: number;

  private constructor(port: number) {
    this.folder = mkdtempSync(join(tmpdir(), 'lateen-cluster-'));
    this.#port = port;
  }

  /** `port` is the first of nine. */
  static async start(port: number): Promise<ClusterFixture> {
    const cluster = new ClusterFixture(port);
    await cluster.#call('up');
    return cluster;
  }

  get kubeconfig(): string {
    return join(this.folder, 'c/admin.kubeconfig');
  }

  get target(): KubeTarget {
    const read = readKubeconfig(this.kubeconfig);
    if (!read.ok) throw new Error(read.error);
    return read.value;
  }

  /** Gives what it printed. */
  kubectl(...args: readonly string[]): string {
    const all = ['--kubeconfig', this.kubeconfig, ...args];
    return execFileSync('kubectl', all, { stdio: 'pipe', encoding: 'utf8' });
  }

  /** Applies objects, by a file. */
  apply(...items: readonly unknown[]): void {
    const file = join(this.folder, 'objects.json');
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    this.kubectl('apply', '--server-side', '-f', file);
  }

  applyCrds(): void {
    this.apply(...ISTIO_CRDS.map(definitionOf));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#call('down');
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #call(verb: 'up' | 'down'): Promise<void> {
    const env = { ...process.env, KUBE_BIN: binary, KUBE_PORT: String(this.#port) };
    await promisify(execFile)('bash', [script, verb, join(this.folder, 'c')], { env });
  }
}

/** The CustomResourceDefinition as an API server takes it. */
function definitionOf({ name, group, scope, versions, ...names }: Crd): unknown {
  const { kind, listKind, plural, singular, shortNames, categories } = names;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name },
    spec: {
      group,
      scope,
      names: { kind, listKind, plural, singular, shortNames, categories },
      versions: versions.map((version) => ({
        name: version.name,
        served: version.served,
        storage: version.storage,
        schema: { openAPIV3Schema: { type: 'object', ...version.schema } },
        ...(version.hasStatus ? { subresources: { status: {} } } : {}),
      })),
    },
  };
}
