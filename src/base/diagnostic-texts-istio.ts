/**
 * Messages of `istioctl analyze` that our own checks give too, under Istio's codes, names and levels.
 * Source: istio 1.32-dev pkg/config/analysis/msg/messages.yaml. Part of the catalogue in diagnostic-catalog.ts.
 */
import type { DiagnosticEntry } from './diagnostic-catalog.ts';

/** Istio's messages by code. */
export const ISTIO_TEXTS = {
  /** ReferencedResourceNotFound. */
  IST0101: {
    severity: 'error',
    text: 'Referenced {reftype} not found: "{refval}"',
    cures: ['Did you mean {suggestion}?', 'Create it, or correct the name.'],
    since: '0.1',
  },
  /** VirtualServiceUnreachableRule. */
  IST0130: {
    severity: 'warning',
    text: 'VirtualService rule {ruleno} not used ({reason}).',
    cures: ['Remove the rule, or move it up.'],
    since: '0.1',
  },
  /** VirtualServiceIneffectiveMatch. A warning, as Istio's webhook gives it; `analyze` lists it as information. */
  IST0131: {
    severity: 'warning',
    text: 'VirtualService rule {ruleno} match {matchno} is not used (duplicate/overlapping match in rule {dupno}).',
    cures: ['Remove the match, or move the rule up.'],
    since: '0.1',
  },
  /** VirtualServiceHostNotFoundInGateway. */
  IST0132: {
    severity: 'warning',
    text: 'one or more host {host} defined in VirtualService {virtualservice} not found in Gateway {gateway}.',
    cures: ['Add the host to a server of the Gateway, or remove it here.'],
    since: '0.1',
  },
  /** UnknownDestinationRuleHost. */
  IST0174: {
    severity: 'warning',
    text: 'The host {host} defined in the DestinationRule does not match any services in the mesh.',
    cures: ['Did you mean {suggestion}?', 'Create a Service or ServiceEntry for the host, or correct it.'],
    since: '0.1',
  },
} as const satisfies Record<string, DiagnosticEntry>;
