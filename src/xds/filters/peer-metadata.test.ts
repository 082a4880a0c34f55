import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DescMessage, type JsonValue, toJson } from '@bufbuild/protobuf';
import { type Any, anyUnpack } from '@bufbuild/protobuf/wkt';
import { HeaderMutationSchema } from '#proto/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.ts';
import { ConfigSchema as HttpStateSchema } from '#proto/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.ts';
import { ConfigSchema as NetworkStateSchema } from '#proto/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts';
import { alpnFilters } from './alpn.ts';
import { inboundNetworkPeerFilters, inboundPeerFilters, outboundPeerFilters } from './peer-metadata.ts';

function configOf(
  filter: { readonly configType: { case?: unknown; value?: unknown } } | undefined,
  schema: DescMessage,
): JsonValue {
  const message = anyUnpack(filter?.configType.value as Any, schema);
  return message === undefined ? null : toJson(schema, message);
}

const HEADERS = ['workload', 'app', 'version', 'canonical-service', 'canonical-revision', 'cluster'].map(
  (name) => `x-lateen-peer-${name}`,
);

describe('peer facts', () => {
  it('overwrite each header that an application or an outside client may have sent (T20)', () => {
    const json = configOf(outboundPeerFilters()[0], HeaderMutationSchema) as {
      mutations: {
        requestMutations: { append: { header: { key: string; value: string }; appendAction: string } }[];
      };
    };
    assert.deepEqual(
      json.mutations.requestMutations.map(({ append }) => [append.header.key, append.appendAction]),
      HEADERS.map((key) => [key, 'OVERWRITE_IF_EXISTS_OR_ADD']),
    );
    for (const { append } of json.mutations.requestMutations)
      assert.match(append.header.value, /^%ENVIRONMENT\(LATEEN_[A-Z_]+\)%$/);
  });

  const strip = {
    mutations: { requestMutations: [{ removeOnMatch: { keyMatcher: { prefix: 'x-lateen-peer-' } } }] },
  };

  it('are only removed where there was no mTLS', () => {
    const filters = inboundPeerFilters({ carries: 'http', mutualTls: false });
    assert.deepEqual(
      filters.map((filter) => configOf(filter, HeaderMutationSchema)),
      [strip],
    );
    assert.deepEqual(inboundNetworkPeerFilters({ carries: 'http', mutualTls: false }), []);
  });

  it("are read first and then removed behind mTLS, and the namespace is never a header's", () => {
    const filters = inboundPeerFilters({ carries: 'http', mutualTls: true });
    const state = configOf(filters[0], HttpStateSchema) as { onRequestHeaders: { objectKey: string }[] };
    assert.deepEqual(
      state.onRequestHeaders.map(({ objectKey }) => objectKey),
      ['workload', 'app', 'version', 'canonical_service', 'canonical_revision', 'cluster'].map(
        (key) => `lateen.peer_${key}`,
      ),
    );
    assert.deepEqual(configOf(filters[1], HeaderMutationSchema), strip);
    assert.equal(JSON.stringify(state).includes('namespace'), false);
  });

  it('of a connection have names that its requests do not set', () => {
    const keys = (carries: 'http' | 'tcp'): string[] => {
      const [filter] = inboundNetworkPeerFilters({ carries, mutualTls: true });
      const json = configOf(filter, NetworkStateSchema) as {
        onDownstreamTlsHandshake: { objectKey: string }[];
      };
      return json.onDownstreamTlsHandshake.map(({ objectKey }) => objectKey);
    };
    const labels = [
      'workload',
      'namespace',
      'app',
      'version',
      'canonical_service',
      'canonical_revision',
      'cluster',
    ];
    assert.deepEqual(
      keys('tcp'),
      labels.map((label) => `lateen.peer_${label}`),
    );
    assert.deepEqual(
      keys('http'),
      labels.map((label) => (label === 'namespace' ? 'lateen.peer_namespace' : `lateen.tls_peer_${label}`)),
    );
  });
});

describe('mesh ALPN', () => {
  it('is what the chosen cluster says, once shared with the upstream connection, and nothing where it says nothing', () => {
    assert.deepEqual(configOf(alpnFilters()[0], HttpStateSchema), {
      onRequestHeaders: [
        {
          objectKey: 'envoy.network.application_protocols',
          factoryKey: 'envoy.network.application_protocols',
          formatString: {
            textFormatSource: { inlineString: '%METADATA(CLUSTER:lateen:alpn)%' },
            omitEmptyValues: true,
          },
          sharedWithUpstream: 'ONCE',
          skipIfEmpty: true,
        },
      ],
    });
  });
});
