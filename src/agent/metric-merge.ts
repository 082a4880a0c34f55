/**
 * Answers one scrape: the agent's own metrics, Envoy's with Istio's names restored, the application's. Everything streams, at the pace of
 * whoever scrapes; a source that fails is counted and left out, the others still come. Memory does not grow with
 * the size of a scrape.
 */
import type { ServerResponse } from 'node:http';
import { pipeline, type Writable } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { AgentMetrics } from './agent-metrics.ts';
import { type HttpTarget, openHttp } from './http-call.ts';
import { MetricRenamer } from './metric-renaming.ts';

/** Text exposition; the only form that can be joined line by line, so the application is asked for it too. */
export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8';

/** One source of metrics and the counter of its failures. */
export interface MetricsSource {
  readonly name: 'envoy' | 'application';
  readonly target: HttpTarget;
}

/** Writes a whole scrape and ends the response. */
export async function writeScrape(
  response: ServerResponse,
  own: string,
  sources: readonly MetricsSource[],
  metrics: AgentMetrics,
  encoding: 'identity' | 'gzip' = 'identity',
): Promise<void> {
  const packed = encoding === 'gzip' ? { 'content-encoding': 'gzip', vary: 'accept-encoding' } : {};
  response.writeHead(200, { 'content-type': metricsContentType, ...packed });
  const sink = encoding === 'gzip' ? packInto(response) : response;
  sink.write(own);
  for (const source of sources) {
    try {
      await copyMetrics(source.target, sink);
    } catch {
      metrics.add(`istio_agent_scrape_failures_total{type="${source.name}"}`);
    }
  }
  sink.end();
}

/** A scrape is text that repeats itself: the lowest level packs it as well as any. */
function packInto(response: ServerResponse): Writable {
  const packer = createGzip({ level: 1 });
  // Whoever stops reading ends the scrape; the next write finds the packer gone.
  pipeline(packer, response, () => {});
  return packer;
}

async function copyMetrics(target: HttpTarget, response: Writable): Promise<void> {
  const answer = await openHttp(target);
  if (answer.statusCode !== 200) {
    answer.destroy();
    throw new Error(`status ${answer.statusCode}`);
  }
  const renamer = new MetricRenamer();
  for await (const chunk of answer) {
    if (Buffer.isBuffer(chunk)) await writeAtPace(response, renamer.push(chunk));
  }
  // Only a source that ended well has a last line worth printing; half a line would spoil the whole scrape.
  await writeAtPace(response, renamer.finish());
}

/** Writes, and waits for the reader if it is behind. Errors: throws when the reader is gone. */
async function writeAtPace(response: Writable, chunks: readonly Buffer[]): Promise<void> {
  if (response.destroyed) throw new Error('the reader is gone');
  const isFlowing = chunks.map((chunk) => response.write(chunk)).at(-1) ?? true;
  if (!isFlowing) await whenWritable(response);
}

function whenWritable(response: Writable): Promise<void> {
  return new Promise((resolve) => {
    function finish(): void {
      response.off('drain', finish);
      response.off('close', finish);
      resolve();
    }
    response.on('drain', finish);
    response.on('close', finish);
  });
}
