/** What tells clients of a gateway that the same is there over HTTP/3 (RFC 7838). Source: Istio route.go buildHTTP3AltSvcHeader. */
import { create } from '@bufbuild/protobuf';
import {
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction as AppendAction,
  HeaderValueOptionSchema,
} from '#proto/envoy/config/core/v3/base_pb.ts';

const MAX_AGE_SECONDS = 86_400;

/** The response header `alt-svc` for HTTP/3 on the UDP port of that number. */
export function altSvcHeader(port: number): HeaderValueOption {
  return create(HeaderValueOptionSchema, {
    header: { key: 'alt-svc', value: `h3=":${port}"; ma=${MAX_AGE_SECONDS}` },
    appendAction: AppendAction.APPEND_IF_EXISTS_OR_ADD,
  });
}
