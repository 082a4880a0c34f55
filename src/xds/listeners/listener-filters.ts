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
import { OriginalSrcSchema } from '#proto/envoy/extensions/filters/listener/original_src/v3/original_src_pb.ts';
import { TlsInspectorSchema } from '#proto/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts';
import { packAny } from '#xds/encode.ts';

/** Restores the destination that iptables redirected away. */
export function originalDstFilter(): ListenerFilter {
  return listenerFilter(
    'envoy.filters.listener.original_dst',
    packAny(OriginalDstSchema, create(OriginalDstSchema)),
  );
}

/** Mark of packets that capture rules let through. */
const SOURCE_MARK = 1337;

/** Connections to the application keep the client's address (interception TPROXY). */
export function originalSrcFilter(): ListenerFilter {
  return listenerFilter(
    'envoy.filters.listener.original_src',
    packAny(OriginalSrcSchema, create(OriginalSrcSchema, { mark: SOURCE_MARK })),
  );
}

/** Connections to which ports a filter looks at: to all but some, or to some only. */
export type PortCondition = { readonly except: readonly number[] } | { readonly only: readonly number[] };

/** Reads SNI and ALPN. */
export function tlsInspectorFilter(condition?: PortCondition): ListenerFilter {
  const config = packAny(TlsInspectorSchema, create(TlsInspectorSchema, { initialReadBufferSize: 512 }));
  return listenerFilter('envoy.filters.listener.tls_inspector', config, condition);
}

/** Tells HTTP from other plain text. */
export function httpInspectorFilter(condition?: PortCondition): ListenerFilter {
  const config = packAny(HttpInspectorSchema, create(HttpInspectorSchema));
  return listenerFilter('envoy.filters.listener.http_inspector', config, condition);
}

function listenerFilter(
  name: string,
  typedConfig: ReturnType<typeof packAny>,
  condition?: PortCondition,
): ListenerFilter {
  const filter = create(ListenerFilterSchema, {
    name,
    configType: { case: 'typedConfig', value: typedConfig },
  });
  const disabled = condition === undefined ? undefined : disabledBy(condition);
  if (disabled !== undefined) filter.filterDisabled = disabled;
  return filter;
}

function disabledBy(condition: PortCondition): ListenerFilterChainMatchPredicate | undefined {
  if ('except' in condition) return anyPort(condition.except);
  const only = anyPort(condition.only);
  if (only === undefined) return undefined;
  return create(ListenerFilterChainMatchPredicateSchema, { rule: { case: 'notMatch', value: only } });
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
