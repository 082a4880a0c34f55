/** A workload's key and certificate as its own proxy gets them: from the agent's SDS over the Unix socket in the state folder. */
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { SecretSchema, type Secret } from '#proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import {
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';

const SOCKET = 'var/run/secrets/workload-spiffe-uds/socket';
const FETCH = '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets';
const TYPE_URL = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
const MAX_BYTES = 1 << 20;

/** Where a mesh lies. */
export interface MeshPlace {
  readonly dir: string;
  /** A folder with a short path. */
  readonly scratch: string;
}

/** PEM of all. */
export interface WorkloadSecret {
  readonly key: string;
  readonly chain: string;
  readonly roots: string;
  /** Revocation lists; '' for none. */
  readonly revocations: string;
}

/** Asks the agent of a replica, `namespace/name-N`. */
export function fetchWorkloadSecret(mesh: MeshPlace, replica: string): Promise<WorkloadSecret> {
  // The address of a socket holds 107 bytes, and the agent uses a relative one.
  const path = join(mesh.scratch, `${replica.replaceAll('/', '-')}.sds`);
  symlinkSync(join(mesh.dir, '.lateen', 'run', replica, SOCKET), path);
  return fetchSecretAt(path);
}

/** Asks the agent that works in a folder with a short path. */
export function fetchAgentSecret(folder: string): Promise<WorkloadSecret> {
  return fetchSecretAt(join(folder, SOCKET));
}

async function fetchSecretAt(path: string): Promise<WorkloadSecret> {
  const socket = connectSocket(path);
  await once(socket, 'connect');
  const session = connect('http://localhost', { createConnection: () => socket });
  // A stream for each: on one, a renewed certificate could come before the roots that were asked for.
  const ask = (name: string): Promise<Secret> => {
    const stream = session.request({
      ':method': 'POST',
      ':path': FETCH,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const request = create(DiscoveryRequestSchema, { typeUrl: TYPE_URL, resourceNames: [name] });
    stream.write(grpcFrame(toBinary(DiscoveryRequestSchema, request)));
    return nextSecret(stream);
  };
  try {
    return { ...certificateOf(await ask('default')), ...rootsOf(await ask('ROOTCA')) };
  } finally {
    session.destroy();
  }
}

async function nextSecret(stream: NodeJS.ReadableStream): Promise<Secret> {
  const reader = new GrpcFrameReader(MAX_BYTES);
  for (;;) {
    const [chunk] = (await once(stream, 'data', { signal: AbortSignal.timeout(10_000) })) as [Buffer];
    for (const message of reader.push(chunk)) {
      const response = fromBinary(DiscoveryResponseSchema, message);
      const [resource] = response.resources;
      if (resource === undefined) throw new Error('the agent has no such secret');
      return fromBinary(SecretSchema, resource.value);
    }
  }
}

function certificateOf({ type }: Secret): { readonly key: string; readonly chain: string } {
  if (type.case !== 'tlsCertificate') throw new Error(`${type.case} in place of a certificate`);
  return { key: inlineText(type.value.privateKey), chain: inlineText(type.value.certificateChain) };
}

function rootsOf({ type }: Secret): Pick<WorkloadSecret, 'roots' | 'revocations'> {
  if (type.case !== 'validationContext') throw new Error(`${type.case} in place of roots`);
  const { trustedCa, crl } = type.value;
  return { roots: inlineText(trustedCa), revocations: crl === undefined ? '' : inlineText(crl) };
}

function inlineText(source: { readonly specifier: { readonly value?: unknown } } | undefined): string {
  const value = source?.specifier.value;
  return value instanceof Uint8Array ? Buffer.from(value).toString() : String(value);
}
