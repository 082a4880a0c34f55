/**
 * The filter that sets filter state. Only one key decides where a call goes: the ALPN names of the upstream connection, by
 * which the called sidecar picks its filter chain (xds/filters/alpn.ts). What is set for logs and metrics is passed by.
 */
import type { Config } from '#proto/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.ts';
import type { RequestState } from './request-state.ts';

const APPLICATION_PROTOCOLS = 'envoy.network.application_protocols';

export function runSetFilterState(state: RequestState, { onRequestHeaders }: Config): void {
  for (const { key, value } of onRequestHeaders) {
    if (key.case !== 'objectKey' || key.value !== APPLICATION_PROTOCOLS) continue;
    const source = value.case === 'formatString' ? value.value.format : undefined;
    const text = source?.case === 'textFormatSource' ? source.value.specifier : undefined;
    const format = text?.case === 'inlineString' ? text.value : '';
    const [, namespace, name] = /^%METADATA\(CLUSTER:([^:]+):([^)]+)\)%$/.exec(format) ?? [];
    if (namespace !== undefined && name !== undefined) state.upstreamAlpnKey = [namespace, name];
  }
}
