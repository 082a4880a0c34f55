/**
 * The validating webhook's answer to one AdmissionReview: the verdict of decodeObject, as apply and validate give it, in the
 * API server's words. Pure: a body in, an answer out; every fault of the body is an answer too. Cost: one parse and one decode.
 */
import { decodeObject } from '#api/decode-object.ts';
import { ISTIO_KINDS } from '#api/istio-kinds.ts';
import { isJsonObject, type JsonObject } from '#api/json-scalar.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { diagnosticCure, diagnosticText } from '#base/diagnostic-catalog.ts';

/** What became of a review, for metrics. Source: istio pkg/webhooks/validation/server/monitoring.go. */
export interface ReviewVerdict {
  readonly outcome: 'passed' | 'failed' | 'unreadable';
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  /** '' when passed. */
  readonly reason: '' | 'unsupported_operation' | 'yaml_decode_error' | 'unknown_type' | 'invalid_resource';
  readonly isDryRun: boolean;
}

/** An answer over HTTP; the body is an AdmissionReview where the status is 200. */
export interface ReviewAnswer {
  readonly status: 200 | 400;
  readonly body: string;
  readonly verdict: ReviewVerdict;
}

/** The API server cuts warnings off beyond these. Source: KEP-1693. */
const MAX_WARNING_CHARS = 256;
const MAX_WARNINGS = 16;
const MAX_MESSAGE_CHARS = 8_192;
const VERSIONS: readonly unknown[] = ['admission.k8s.io/v1', 'admission.k8s.io/v1beta1'];
/** Of an object, besides apiVersion and kind. Source: istio pkg/webhooks/validation/server/server.go validFields. */
const ROOT_FIELDS: readonly string[] = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];

/** Answers a review. Errors: none; what is no review gets status 400. */
export function answerReview(body: string): ReviewAnswer {
  const review = parse(body);
  const request = isJsonObject(review) ? review['request'] : undefined;
  if (!isJsonObject(review) || !VERSIONS.includes(review['apiVersion']) || !isJsonObject(request)) {
    const verdict: ReviewVerdict = { outcome: 'unreadable', ...resourceOf({}), reason: '', isDryRun: false };
    return { status: 400, body: 'the body is no AdmissionReview of admission.k8s.io/v1\n', verdict };
  }
  const judged = judge(request);
  const { apiVersion, kind } = review;
  const response = { uid: textOf(request['uid']), ...judged.response };
  const { reason } = judged;
  const outcome = reason === '' ? 'passed' : 'failed';
  const verdict: ReviewVerdict = {
    outcome,
    ...resourceOf(request),
    reason,
    isDryRun: request['dryRun'] === true,
  };
  return { status: 200, body: JSON.stringify({ apiVersion, kind, response }), verdict };
}

interface Judged {
  readonly response: JsonObject;
  readonly reason: ReviewVerdict['reason'];
}

function judge(request: JsonObject): Judged {
  const { operation, object } = request;
  // As in Istio: what is deleted needs no check.
  if (operation !== 'CREATE' && operation !== 'UPDATE')
    return { response: { allowed: true }, reason: 'unsupported_operation' };
  if (!isJsonObject(object)) return refuse('yaml_decode_error', 'the review has no object');
  const known = inKnownVersion(object);
  if (known === undefined)
    return refuse(
      'unknown_type',
      `unrecognized type ${textOf(object['apiVersion'])} ${textOf(object['kind'])}`,
    );
  const surplus = Object.keys(object).find((field) => !ROOT_FIELDS.includes(field));
  if (surplus !== undefined) return refuse('invalid_resource', `unknown field ${JSON.stringify(surplus)}`);
  const namespace = textOf(request['namespace']);
  const { diagnostics } = decodeObject(known, { defaultNamespace: namespace });
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length > 0)
    return refuse('invalid_resource', `configuration is invalid: ${errors.map(say).join('; ')}`);
  const warnings = diagnostics.filter(({ severity }) => severity === 'warning').map(say);
  const told = warnings.slice(0, MAX_WARNINGS).map((text) => text.slice(0, MAX_WARNING_CHARS));
  return { response: { allowed: true, ...(told.length === 0 ? {} : { warnings: told }) }, reason: '' };
}

function refuse(reason: ReviewVerdict['reason'], message: string): Judged {
  const status = { code: 400, message: message.slice(0, MAX_MESSAGE_CHARS) };
  return { response: { allowed: false, status }, reason };
}

/** Versions of one kind have one schema: a control plane that is older than its CRDs judges a newer version as its own. */
function inKnownVersion(object: JsonObject): JsonObject | undefined {
  const [group = '', version] = textOf(object['apiVersion']).split('/');
  const info = ISTIO_KINDS.find((one) => one.kind === object['kind'] && one.group === group);
  if (info === undefined || version === undefined) return undefined;
  return info.versions.includes(version) ? object : { ...object, apiVersion: `${group}/${info.versions[0]}` };
}

function say(diagnostic: Diagnostic): string {
  const cure = diagnosticCure(diagnostic);
  const path = diagnostic.path ? `${diagnostic.path}: ` : '';
  return `${diagnostic.code} ${path}${diagnosticText(diagnostic)}${cure === '' ? '' : ` (${cure})`}`;
}

/** Names that are known only: callers choose the others, and every one would be a series of its own. */
function resourceOf(request: JsonObject): Pick<ReviewVerdict, 'group' | 'version' | 'resource'> {
  const resource = isJsonObject(request['resource']) ? request['resource'] : {};
  const info = ISTIO_KINDS.find(
    ({ group, plural }) => group === resource['group'] && plural === resource['resource'],
  );
  const version = info?.versions.find((one) => one === resource['version']);
  return {
    group: info?.group ?? 'unknown',
    version: version ?? 'unknown',
    resource: info?.plural ?? 'unknown',
  };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
