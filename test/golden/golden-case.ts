/**
 * A golden case: one `<case>.in.yaml` whose first document says which proxies there are and what of theirs the case is
 * about; the other documents are the objects of the mesh, as users write them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type MeshNetworks, NO_NETWORKS } from '#api/mesh-networks.ts';
import { parseDocuments } from '#api/yaml-documents.ts';
import type { LocalReplica } from '#model/endpoint.ts';
import { readMeshFlags } from '#model/mesh-flags.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import {
  decodeAll,
  type MeshFixture,
  meshFixture,
  type ProxyFacts,
  readObjects,
  SNAPSHOT_PARTS,
  type SnapshotPart,
} from '../support/mesh-fixture.ts';

/** The first document. */
export interface GoldenHeader {
  readonly proxies: readonly ProxyFacts[];
  readonly meshConfig?: object;
  readonly meshNetworks?: MeshNetworks;
  /** What DNS has for gateways' names. */
  readonly resolvedNames?: Readonly<Record<string, readonly string[]>>;
  /** Flags of the control plane by their variables. */
  readonly flags?: Readonly<Record<string, string>>;
  /** Resources that the case is about, by part: names, `*` in them stands for anything. */
  readonly show: Readonly<Partial<Record<SnapshotPart, readonly string[]>>>;
  /** Of listeners only filter chains with these names are shown; all when absent. */
  readonly chains?: readonly string[];
  /** Replicas of LocalWorkloads that run: `namespace` and `ready` have defaults. */
  readonly replicas?: readonly (Pick<LocalReplica, 'workload' | 'address'> & Partial<LocalReplica>)[];
  /** Files of the samples folder that belong to the mesh. */
  readonly samples?: readonly string[];
}

export interface GoldenCase {
  readonly feature: string;
  readonly name: string;
  readonly header: GoldenHeader;
  /** A mesh with everything that the case says, settled. */
  readonly start: () => MeshFixture;
}

export const GOLDEN_FOLDER: string = import.meta.dirname;
const SAMPLES = join(GOLDEN_FOLDER, '../../samples');
const INPUT = '.in.yaml';
const HEADER_FIELDS: readonly string[] = [
  'proxies',
  'meshConfig',
  'meshNetworks',
  'resolvedNames',
  'flags',
  'show',
  'chains',
  'replicas',
  'samples',
];

/** Folders of cases. */
export function goldenFeatures(): readonly string[] {
  const folders = readdirSync(GOLDEN_FOLDER, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return folders.map(({ name }) => name).sort();
}

/** All cases of a feature. */
export function goldenCases(feature: string): readonly GoldenCase[] {
  const files = readdirSync(join(GOLDEN_FOLDER, feature)).sort();
  return files.filter((file) => file.endsWith(INPUT)).map((file) => readCase(feature, file));
}

function readCase(feature: string, file: string): GoldenCase {
  const path = join(GOLDEN_FOLDER, feature, file);
  const [first, ...documents] = parseDocuments(readFileSync(path, 'utf8'), path).map(
    ({ value, diagnostic }) => {
      if (diagnostic !== undefined) throw new Error(`${path}: ${JSON.stringify(diagnostic)}`);
      return value;
    },
  );
  const header = first as GoldenHeader;
  const strange = Object.keys(header).filter((field) => !HEADER_FIELDS.includes(field));
  const unknownParts = Object.keys(header.show ?? {}).filter(
    (part) => !SNAPSHOT_PARTS.includes(part as SnapshotPart),
  );
  if (strange.length + unknownParts.length > 0 || header.show === undefined) {
    throw new Error(
      `${path}: the first document has proxies, show and what else a header has; ${[...strange, ...unknownParts]}`,
    );
  }
  const start = (): MeshFixture => startCase(header, documents);
  return { feature, name: file.slice(0, -INPUT.length), header, start };
}

function startCase(header: GoldenHeader, documents: readonly unknown[]): MeshFixture {
  const fixture = meshFixture({ flags: readMeshFlags(header.flags ?? {}).flags });
  for (const sample of header.samples ?? [])
    fixture.set(...readObjects(readFileSync(join(SAMPLES, sample), 'utf8')));
  fixture.set(...documents.flatMap(decodeAll));
  fixture.configure(header.meshConfig ?? {});
  fixture.mesh.meshNetworks.set(MESH_KEY, header.meshNetworks ?? NO_NETWORKS);
  for (const [name, addresses] of Object.entries(header.resolvedNames ?? {}))
    fixture.mesh.resolvedNames.set(name, { addresses });
  for (const facts of header.replicas ?? []) {
    const replica = { namespace: 'default', replica: 0, appAddress: facts.address, ready: true, ...facts };
    fixture.mesh.replicas.set(`${replica.namespace}/${replica.workload}-${replica.replica}`, replica);
  }
  for (const facts of header.proxies) fixture.connect(facts);
  fixture.settle();
  return fixture;
}
