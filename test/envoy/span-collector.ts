/** Who takes spans in tests: Zipkin's second format and OTLP over HTTP, at a loopback port of its own. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fromBinary } from '@bufbuild/protobuf';
import { ExportTraceServiceRequestSchema } from '#proto/opentelemetry/proto/collector/trace/v1/trace_service_pb.ts';
import type { KeyValue } from '#proto/opentelemetry/proto/common/v1/common_pb.ts';
import { Span_SpanKind } from '#proto/opentelemetry/proto/trace/v1/trace_pb.ts';

/** A span in either format. */
export interface TakenSpan {
  readonly format: 'zipkin' | 'otlp';
  readonly traceId: string;
  readonly id: string;
  readonly parentId: string;
  readonly kind: string;
  readonly service: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Headers of the request that it came in. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

interface ZipkinSpan {
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string;
  readonly kind?: string;
  readonly localEndpoint?: { readonly serviceName?: string };
  readonly tags?: Readonly<Record<string, string>>;
}

const LIMIT_MS = 15_000;

/** Listens on 127.0.0.1. */
export class SpanCollector implements AsyncDisposable {
  readonly taken: TakenSpan[] = [];
  readonly #server = createServer((request, answer) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const spans = request.url === '/v1/traces' ? readOtlp(body) : readZipkin(body);
      this.taken.push(...spans.map((span) => ({ ...span, headers: request.headers })));
      this.#more.resolve();
      this.#more = Promise.withResolvers();
      answer.writeHead(202).end();
    });
  });
  #more = Promise.withResolvers<void>();

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** Resolves with so many spans that fit, when they are there. Errors: rejects when they do not come. */
  async spans(count: number, fits: (span: TakenSpan) => boolean): Promise<readonly TakenSpan[]> {
    const limit = AbortSignal.timeout(LIMIT_MS);
    for (;;) {
      const found = this.taken.filter(fits);
      if (found.length >= count) return found;
      if (limit.aborted) throw new Error(`${found.length} of ${count} spans: ${JSON.stringify(this.taken)}`);
      await Promise.race([this.#more.promise, once(limit, 'abort')]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

type BareSpan = Omit<TakenSpan, 'headers'>;

function readZipkin(body: Buffer): readonly BareSpan[] {
  return (JSON.parse(body.toString()) as readonly ZipkinSpan[]).map((span) => ({
    format: 'zipkin',
    traceId: span.traceId,
    id: span.id,
    parentId: span.parentId ?? '',
    kind: span.kind ?? '',
    service: span.localEndpoint?.serviceName ?? '',
    tags: span.tags ?? {},
  }));
}

function readOtlp(body: Buffer): readonly BareSpan[] {
  const { resourceSpans } = fromBinary(ExportTraceServiceRequestSchema, body);
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        format: 'otlp' as const,
        traceId: Buffer.from(span.traceId).toString('hex'),
        id: Buffer.from(span.spanId).toString('hex'),
        parentId: Buffer.from(span.parentSpanId).toString('hex'),
        kind: span.kind === Span_SpanKind.SERVER ? 'SERVER' : 'CLIENT',
        service: texts(resource?.attributes ?? [])['service.name'] ?? '',
        tags: texts(span.attributes),
      })),
    ),
  );
}

function texts(attributes: readonly KeyValue[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value?.value.case === 'stringValue' ? value.value.value : '']),
  );
}
