/** Routes that answer by themselves: redirects and direct responses. Pure. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import {
  type DirectResponseAction,
  DirectResponseActionSchema,
  type RedirectAction,
  RedirectAction_RedirectResponseCode,
  RedirectActionSchema,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import type {
  HTTPDirectResponseJson,
  HTTPRedirectJson,
} from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';

const RESPONSE_CODES: ReadonlyMap<number, RedirectAction_RedirectResponseCode> = new Map([
  [0, RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY],
  [301, RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY],
  [302, RedirectAction_RedirectResponseCode.FOUND],
  [303, RedirectAction_RedirectResponseCode.SEE_OTHER],
  [307, RedirectAction_RedirectResponseCode.TEMPORARY_REDIRECT],
  [308, RedirectAction_RedirectResponseCode.PERMANENT_REDIRECT],
]);

/** Where the redirected request arrived: decides the port in the answer. */
export interface RedirectContext {
  readonly listenPort: number;
  readonly isTls: boolean;
}

/**
 * Builds the redirect; undefined for a response code that is none of 301, 302, 303, 307, 308.
 * Source: istio route.go ApplyRedirect.
 */
export function buildRedirect(
  redirect: HTTPRedirectJson,
  context: RedirectContext,
): RedirectAction | undefined {
  const responseCode = RESPONSE_CODES.get(redirect.redirectCode ?? 0);
  if (responseCode === undefined) return undefined;
  return create(RedirectActionSchema, {
    hostRedirect: redirect.authority ?? '',
    portRedirect: redirectPort(redirect, context),
    ...(redirect.scheme
      ? { schemeRewriteSpecifier: { case: 'schemeRedirect' as const, value: redirect.scheme } }
      : {}),
    pathRewriteSpecifier: redirect.prefixRewrite
      ? { case: 'prefixRewrite', value: redirect.prefixRewrite }
      : { case: 'pathRedirect', value: redirect.uri ?? '' },
    responseCode,
  });
}

/** 0 when the answer names no port: nothing asked for, or the scheme's own port. */
function redirectPort(redirect: HTTPRedirectJson, context: RedirectContext): number {
  const asked = redirect.derivePort === 'FROM_REQUEST_PORT' ? context.listenPort : (redirect.port ?? 0);
  const scheme = redirect.scheme || (context.isTls ? 'https' : 'http');
  const isDefault = (asked === 80 && scheme === 'http') || (asked === 443 && scheme === 'https');
  return isDefault ? 0 : asked;
}

/** Builds the fixed answer. */
export function buildDirectResponse(response: HTTPDirectResponseJson): DirectResponseAction {
  return create(DirectResponseActionSchema, { status: response.status ?? 0, ...body(response) });
}

function body(response: HTTPDirectResponseJson): MessageInitShape<typeof DirectResponseActionSchema> {
  if (response.body?.string !== undefined) {
    return { body: { specifier: { case: 'inlineString', value: response.body.string } } };
  }
  if (response.body?.bytes !== undefined) {
    return { body: { specifier: { case: 'inlineBytes', value: base64Decode(response.body.bytes) } } };
  }
  return {};
}
