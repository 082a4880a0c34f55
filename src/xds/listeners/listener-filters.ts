/** Listener filters: what is learnt of a connection before a filter chain is chosen. Source: Envoy's listener filters. */
import { create } from '@bufbuild/protobuf';
import type {
  ListenerFilter,
  ListenerFilterChainMatchPredicate,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import {
  ListenerFilterChainMatchPredicateSchema,
  ListenerFilterSchema,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { HttpInspectorSchema } from '#proto/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts';
import { OriginalDstSchema } from '#proto/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts';
import { TlsInspectorSchema } from '#proto/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts';
import { packAny } from '#xds/encode.ts';

/** Restores the destination that iptables redirected away. */
export function originalDstFilter(): ListenerFilter {
  return listenerFilter(
    'envoy.filters.listener.original_dst',
    packAny(OriginalDstSchema, create(OriginalDstSchema)),
    [],
  );
}

/** Reads SNI and ALPN; not for connections to `exceptPorts`. */
export function tlsInspectorFilter(exceptPorts: readonly number[] = []): ListenerFilter {
  const config = create(TlsInspectorSchema, { initialReadBufferSize: 512 });
  return listenerFilter(
    'envoy.filters.listener.tls_inspector',
    packAny(TlsInspectorSchema, config),
    exceptPorts,
  );
}

/** Tells HTTP from other plain text; not for connections to `exceptPorts`. */
export function httpInspectorFilter(exceptPorts: readonly number[] = []): ListenerFilter {
  const config = packAny(HttpInspectorSchema, create(HttpInspectorSchema));
  return listenerFilter('envoy.filters.listener.http_inspector', config, exceptPorts);
}

function listenerFilter(
  name: string,
  typedConfig: ReturnType<typeof packAny>,
  exceptPorts: readonly number[],
): ListenerFilter {
  const filter = create(ListenerFilterSchema, {
    name,
    configType: { case: 'typedConfig', value: typedConfig },
  });
  const predicate = anyPort(exceptPorts);
  if (predicate !== undefined) filter.filterDisabled = predicate;
  return filter;
}

/** A predicate that holds for connections to one of the ports. */
function anyPort(ports: readonly number[]): ListenerFilterChainMatchPredicate | undefined {
  const rules = ports.map((port) =>
    create(ListenerFilterChainMatchPredicateSchema, {
      rule: { case: 'destinationPortRange', value: { start: port, end: port + 1 } },
    }),
  );
  if (rules.length < 2) return rules[0];
  return create(ListenerFilterChainMatchPredicateSchema, { rule: { case: 'orMatch', value: { rules } } });
}
