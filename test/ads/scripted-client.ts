/** A delta or state-of-the-world client that does what a test writes down, line by line, over an in-memory stream. */
import assert from 'node:assert/strict';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { Peer } from '#ads/peer.ts';
import { NodeSchema } from '#proto/envoy/config/core/v3/base_pb.ts';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { type Content, contentOf, type FakeWorld, LOCAL_PEER, NODE_ID } from './fake-world.ts';
import { MemoryStream } from './memory-stream.ts';

/** A response in a form that a test can compare: short type, `name@revision` of resources, names removed. */
export interface Seen {
  readonly type: string;
  readonly set: readonly string[];
  readonly removed: readonly string[];
}

const SHORT: Readonly<Record<string, string>> = {
  Cluster: 'cds',
  ClusterLoadAssignment: 'eds',
  Listener: 'lds',
  RouteConfiguration: 'rds',
  Secret: 'sds',
  TypedExtensionConfig: 'ecds',
};

function shortType(typeUrl: string): string {
  const name = typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
  return SHORT[name] ?? name;
}

function label({ name, revision }: Content): string {
  return `${name}@${revision}`;
}

export class DeltaClient {
  readonly stream: MemoryStream = new MemoryStream();
  /** Version of each resource as received, for claims in a later stream. */
  readonly versions: Map<string, string> = new Map();
  readonly nonces: string[] = [];
  readonly systemVersions: string[] = [];
  readonly #lastNonce: Map<string, string> = new Map();
  #hasNode = false;

  constructor(world: FakeWorld, peer: Peer = LOCAL_PEER) {
    world.server.serveDelta(this.stream, peer);
  }

  /** Several requests that arrive together. */
  send(...requests: readonly MessageInitShape<typeof DeltaDiscoveryRequestSchema>[]): void {
    const messages = requests.map((request) => {
      const message = create(DeltaDiscoveryRequestSchema, request);
      if (!this.#hasNode) message.node ??= create(NodeSchema, { id: NODE_ID });
      this.#hasNode = true;
      return toBinary(DeltaDiscoveryRequestSchema, message);
    });
    this.stream.receive(...messages);
  }

  subscribe(typeUrl: string, ...resourceNamesSubscribe: string[]): void {
    this.send({ typeUrl, resourceNamesSubscribe });
  }

  unsubscribe(typeUrl: string, ...resourceNamesUnsubscribe: string[]): void {
    this.send({ typeUrl, resourceNamesUnsubscribe });
  }

  ack(typeUrl: string): void {
    this.send({ typeUrl, responseNonce: this.#lastNonce.get(typeUrl) ?? '' });
  }

  nack(typeUrl: string, message: string): void {
    this.send({
      typeUrl,
      responseNonce: this.#lastNonce.get(typeUrl) ?? '',
      errorDetail: { code: 13, message },
    });
  }

  /** What has come since the last look. */
  take(): Seen[] {
    return this.stream.sent.splice(0).map((message) => {
      const response = fromBinary(DeltaDiscoveryResponseSchema, message);
      this.#lastNonce.set(response.typeUrl, response.nonce);
      this.nonces.push(response.nonce);
      this.systemVersions.push(response.systemVersionInfo);
      const set = response.resources.map(({ name, version, resource }) => {
        this.versions.set(`${shortType(response.typeUrl)}/${name}`, version);
        const content = contentOf(resource?.value ?? new Uint8Array());
        assert.equal(content.name, name);
        return label(content);
      });
      return {
        type: shortType(response.typeUrl),
        set: set.sort(),
        removed: [...response.removedResources].sort(),
      };
    });
  }

  /** Takes and acknowledges until nothing more comes. */
  takeAll(): Seen[] {
    const all: Seen[] = [];
    for (let seen = this.take(); seen.length > 0; seen = this.take()) {
      all.push(...seen);
      for (const typeUrl of this.#lastNonce.keys()) this.ack(typeUrl);
    }
    return all;
  }
}

export class SotwClient {
  readonly stream: MemoryStream = new MemoryStream();
  readonly #last: Map<string, { nonce: string; version: string }> = new Map();
  #hasNode = false;

  constructor(world: FakeWorld, peer: Peer = LOCAL_PEER) {
    world.server.serveSotw(this.stream, peer);
  }

  send(request: MessageInitShape<typeof DiscoveryRequestSchema>): void {
    const message = create(DiscoveryRequestSchema, request);
    if (!this.#hasNode) message.node ??= create(NodeSchema, { id: NODE_ID });
    this.#hasNode = true;
    this.stream.receive(toBinary(DiscoveryRequestSchema, message));
  }

  /** Asks for names, answering the last response of the type if there was one. */
  ask(typeUrl: string, ...resourceNames: string[]): void {
    const last = this.#last.get(typeUrl);
    this.send({ typeUrl, resourceNames, versionInfo: last?.version ?? '', responseNonce: last?.nonce ?? '' });
  }

  ack(typeUrl: string): void {
    this.ask(typeUrl);
  }

  nack(typeUrl: string, message: string, ...resourceNames: string[]): void {
    const responseNonce = this.#last.get(typeUrl)?.nonce ?? '';
    this.send({ typeUrl, resourceNames, responseNonce, errorDetail: { code: 13, message } });
  }

  take(): Omit<Seen, 'removed'>[] {
    return this.stream.sent.splice(0).map((message) => {
      const response = fromBinary(DiscoveryResponseSchema, message);
      this.#last.set(response.typeUrl, { nonce: response.nonce, version: response.versionInfo });
      return {
        type: shortType(response.typeUrl),
        set: response.resources.map(({ value }) => label(contentOf(value))).sort(),
      };
    });
  }
}
