/**
 * The ALPN names of mesh mTLS for HTTP: they let the called sidecar pick its HTTP chain. Which names, the chosen cluster says in its
 * metadata (key `alpn` under `lateen`), because what counts is the protocol spoken upstream; a cluster that originates
 * TLS for somebody outside the mesh says nothing and keeps the names of its own TLS context.
 * Source: istio/proxy alpn filter, pilot/pkg/xds/filters (MeshHTTP11ALPN, MeshHTTP2ALPN).
 */
import { create } from '@bufbuild/protobuf';
import { FilterStateValue_SharedWithUpstream as SharedWithUpstream } from '#proto/envoy/extensions/filters/common/set_filter_state/v3/value_pb.ts';
import { ConfigSchema } from '#proto/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { packAny } from '#xds/encode.ts';
import { httpFilter } from './http-connection-manager.ts';
import { METADATA_NAMESPACE } from './peer-labels.ts';

/** Key in cluster filter metadata `lateen`. */
export const ALPN_METADATA_KEY = 'alpn';

/**
 * Metadata values by the HTTP version that a cluster speaks upstream. Where it follows the caller's, no real protocol
 * is offered: the server then looks at the first bytes.
 */
export const MESH_HTTP_ALPN_VALUES = {
  http1: 'istio-http/1.1,istio,http/1.1',
  http2: 'istio-h2,istio,h2',
  downstream: 'istio-http/1.1,istio',
} as const;

const OBJECT_KEY = 'envoy.network.application_protocols';

/** The filter of outbound and gateway connection managers; no effect where the cluster has no such metadata. */
export function alpnFilters(): HttpFilter[] {
  const config = create(ConfigSchema, {
    onRequestHeaders: [
      {
        key: { case: 'objectKey', value: OBJECT_KEY },
        factoryKey: OBJECT_KEY,
        value: {
          case: 'formatString',
          value: {
            format: {
              case: 'textFormatSource',
              value: {
                specifier: {
                  case: 'inlineString',
                  value: `%METADATA(CLUSTER:${METADATA_NAMESPACE}:${ALPN_METADATA_KEY})%`,
                },
              },
            },
            omitEmptyValues: true,
          },
        },
        sharedWithUpstream: SharedWithUpstream.ONCE,
        skipIfEmpty: true,
      },
    ],
  });
  return [httpFilter('lateen.alpn', packAny(ConfigSchema, config))];
}
