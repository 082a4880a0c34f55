/**
 * The control plane that pilot-discovery runs: mesh, files source, xDS and the HTTP doors, opened in the order in which
 * they can be useful and closed the other way round. Ready means: the folder has been read and its mesh computed.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { noMetrics } from '#ads/ads-metrics.ts';
import { defaultMeshConfig, parseMeshConfig } from '#api/mesh-config.ts';
import { parseDocuments } from '#api/yaml-documents.ts';
import { systemClock } from '#base/clock.ts';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import { AsyncScope } from '#base/disposable.ts';
import { hashHex } from '#base/hash.ts';
import { createLogger, isLogLevel, type Logger, LogLevels } from '#base/logger.ts';
import { systemRng } from '#base/rng.ts';
import { type CertificateAuthority, openCertificateAuthority } from '#ca/certificate-authority.ts';
import { defaultSignerOptions } from '#ca/signer.ts';
import type { HeldBackController } from '#controllers/held-back.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { FilesSource } from '#sources/files.ts';
import { type DiscoveryFlags, parseAddress } from './discovery-flags.ts';
import { openDiscoveryDoors } from './discovery-doors.ts';
import { openHeldBack } from './held-back.ts';
import { createMesh, type Mesh, type MeshOptions } from './mesh.ts';
import { VERSION } from './version.ts';
import { openXdsDoor } from './xds-door.ts';

/** A running control plane. */
export interface Discovery {
  close(): Promise<void>;
}

/** Opens everything. Errors: rejects with a text for people; what was opened until then is closed again. */
export async function openDiscovery(flags: DiscoveryFlags): Promise<Discovery> {
  const clock = systemClock();
  const log = createLogger({
    clock,
    levels: logLevels(flags.logLevel),
    format: flags.logAsJson ? 'json' : 'text',
    sink: (line) => process.stdout.write(`${line}\n`),
  });
  for (const flag of flags.withoutEffect) log.warn('flag has no effect here', { flag });
  const meshConfig = readMeshConfig(flags.meshConfig, log);
  const meshOptions: MeshOptions = {
    meshConfig,
    clusterId: flags.clusterID,
    clusterDomain: flags.domain,
    onError: (collection, key, error) =>
      log.error('derivation failed', { collection, key, error: String(error) }),
  };
  const mesh = createMesh(meshOptions);
  const scope = new AsyncScope();
  try {
    const ready = { now: false };
    const authority = await openAuthority(flags, meshConfig, log);
    const heldBack = scope.add(
      await openHeldBack({
        mesh,
        meshOptions,
        clock,
        log: log.scope('heldback'),
        // Another folder is another mesh, whose objects may have the same names.
        folder: join(stateFolder(), 'held-back', hashHex(resolve(flags.configDir))),
      }),
    );
    const door = await openXdsDoor({
      mesh,
      clock,
      rng: systemRng(),
      log,
      metrics: noMetrics(),
      version: VERSION,
      ...(authority === undefined ? {} : { authority }),
      ...listenOn('plain', flags.grpcAddr),
      ...listenOn('secure', authority === undefined ? '' : flags.secureGRPCAddr),
      onNack: (event) => heldBack.refused(event),
    });
    scope.add({ [Symbol.asyncDispose]: () => door.close() });
    scope.add(await openDiscoveryDoors({ flags, mesh, door, isReady: () => ready.now }));
    if (flags.configDir !== '') scope.add(await followFolder(flags.configDir, mesh, heldBack, log));
    await mesh.driver.settled();
    ready.now = true;
    log.info('ready', { grpc: door.plainPort, secureGrpc: door.securePort });
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
  return { close: () => scope[Symbol.asyncDispose]() };
}

async function followFolder(
  folder: string,
  mesh: Mesh,
  heldBack: HeldBackController,
  log: Logger,
): Promise<FilesSource> {
  const source = new FilesSource({
    folder,
    clock: systemClock(),
    defaultNamespace: 'default',
    sink: {
      apply(batch) {
        heldBack.applying(batch);
        mesh.objects.apply(batch);
        mesh.driver.poke();
        for (const diagnostic of batch.diagnostics) log.scope('config').warn(printDiagnostic(diagnostic));
      },
    },
  });
  await source.start();
  return source;
}

function listenOn<K extends 'plain' | 'secure'>(
  door: K,
  flag: string,
): { [P in K]?: { host: string; port: number } } {
  const address = parseAddress(flag);
  if (address === undefined && flag !== '') throw new Error(`'${flag}' is not host:port`);
  return (address === undefined ? {} : { [door]: address }) as { [P in K]?: { host: string; port: number } };
}

/** Where roots and verdicts stay from one run to the next. */
function stateFolder(): string {
  return process.env['LATEEN_STATE_DIR'] ?? join(process.env['HOME'] ?? '.', '.local', 'state', 'lateen');
}

/** Istio's switch: ENABLE_CA_SERVER=false leaves the CA and with it the secure port out. */
async function openAuthority(
  flags: DiscoveryFlags,
  meshConfig: MeshConfigJson,
  log: Logger,
): Promise<CertificateAuthority | undefined> {
  if (process.env['ENABLE_CA_SERVER'] === 'false' || flags.secureGRPCAddr === '') return undefined;
  const authority = await openCertificateAuthority({
    folder: join(stateFolder(), 'ca'),
    trustDomain: meshConfig.trustDomain ?? 'cluster.local',
    trustDomainAliases: meshConfig.trustDomainAliases ?? [],
    signer: defaultSignerOptions,
    tokenVerifiers: [],
    clock: systemClock(),
    log: log.scope('ca'),
  });
  if (!authority.ok) throw new Error(authority.error);
  return authority.value;
}

/** The mesh config file over Istio's defaults; a missing file means the defaults. */
function readMeshConfig(file: string, log: Logger): MeshConfigJson {
  const base = defaultMeshConfig();
  if (file === '' || !existsSync(file)) return base;
  const [document] = parseDocuments(readFileSync(file, 'utf8'), file);
  if (document === undefined) return base;
  const parsed = parseMeshConfig(document.value);
  const found = document.diagnostic === undefined ? parsed.diagnostics : [document.diagnostic];
  for (const diagnostic of found) log.warn(printDiagnostic(diagnostic));
  return parsed.config;
}

/** `default:info,ads:debug` or a bare level. */
function logLevels(text: string): LogLevels {
  const levels = new LogLevels();
  for (const part of text.split(',')) {
    const [scope, level] = part.includes(':') ? (part.split(':') as [string, string]) : ['default', part];
    if (isLogLevel(level)) levels.set(scope, level);
  }
  return levels;
}
