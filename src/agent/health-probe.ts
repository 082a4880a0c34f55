/**
 * One look at the application: an HTTP request, a TCP connection, a call of gRPC's health service, or a command. Bounded in time; of
 * an answer nothing is read but what decides. Source: Istio pkg/istio-agent/health/health_probers.go.
 */
import { spawn } from 'node:child_process';
import { type ClientRequest, request as httpRequest } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { connect as connectTcp, isIPv6 } from 'node:net';
import { GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { WireReader, WireWriter } from '#base/proto-wire.ts';
import type { ProbeTarget } from './health-options.ts';

const USER_AGENT = 'istio-probe/1.0';
const HEALTH_CALL = '/grpc.health.v1.Health/Check';
const SERVING = 1;
const MAX_ANSWER_BYTES = 64 * 1024;

type HttpTarget = Extract<ProbeTarget, { kind: 'http' }>;
type GrpcTarget = Extract<ProbeTarget, { kind: 'grpc' }>;

/** Resolves when the application is well. Errors: rejects with what is wrong, also when the signal aborts. */
export function probe(target: ProbeTarget, signal: AbortSignal): Promise<void> {
  switch (target.kind) {
    case 'http':
      return probeHttp(target, signal);
    case 'tcp':
      return probeTcp(target, signal);
    case 'grpc':
      return probeGrpc(target, signal);
    default:
      return probeExec(target.command, signal);
  }
}

function probeHttp(target: HttpTarget, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = openRequest(target, signal);
    call.on('error', reject);
    call.on('response', (response) => {
      const { statusCode = 0 } = response;
      response.on('error', () => {});
      response.destroy();
      if (statusCode >= 200 && statusCode < 400) resolve();
      else reject(new Error(`the application answered with status ${statusCode}`));
    });
    call.end();
  });
}

function openRequest(target: HttpTarget, signal: AbortSignal): ClientRequest {
  const { scheme, host, port, path, headers, sourceAddress } = target;
  // Names of headers have no case; the first of a name wins over the ones of our own.
  const fields = new Map([['user-agent', USER_AGENT]]);
  for (const [name, value] of headers) fields.set(name.toLowerCase(), value);
  const options = {
    host,
    port,
    path,
    headers: Object.fromEntries(fields),
    agent: false,
    signal,
    ...(sourceAddress === undefined ? {} : { localAddress: sourceAddress }),
  };
  // The application's certificate is its own affair here, as with Kubernetes' probes.
  return scheme === 'https' ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
}

function probeTcp({ host, port }: { host: string; port: number }, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port, signal });
    socket.on('error', reject);
    socket.on('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}

function probeGrpc({ host, port, service }: GrpcTarget, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://${isIPv6(host) ? `[${host}]` : host}:${port}`);
    const end = (error?: Error): void => {
      session.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    session.on('error', end);
    const call = session.request(
      {
        ':method': 'POST',
        ':path': HEALTH_CALL,
        'content-type': 'application/grpc',
        te: 'trailers',
        'user-agent': USER_AGENT,
      },
      { signal },
    );
    const reader = new GrpcFrameReader(MAX_ANSWER_BYTES);
    let isServing = false;
    let status = '';
    const take = (headers: Readonly<Record<string, unknown>>): void => {
      if (headers['grpc-status'] !== undefined) status = String(headers['grpc-status']);
    };
    call.on('error', end);
    call.on('response', take);
    call.on('trailers', take);
    call.on('data', (chunk: Buffer) => {
      try {
        for (const message of reader.push(chunk)) isServing = readStatus(message) === SERVING;
      } catch (error) {
        end(error instanceof Error ? error : new Error(String(error)));
      }
    });
    call.on('close', () => {
      if (status !== '0')
        end(new Error(`the health service on port ${port} answered with gRPC status ${status}`));
      else end(isServing ? undefined : new Error('the health service says that it is not serving'));
    });
    call.end(grpcFrame(new WireWriter().string(1, service).finish()));
  });
}

function readStatus(message: Uint8Array): number {
  const reader = new WireReader(message);
  let status = 0;
  while (reader.next()) if (reader.field === 1) status = reader.varint();
  return status;
}

function probeExec([command = '', ...args]: readonly string[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'ignore', signal, killSignal: 'SIGKILL' });
    child.on('error', reject);
    child.on('exit', (code, by) => {
      if (code === 0) resolve();
      else
        reject(new Error(by === null ? `the command ended with ${code}` : `the command was ended by ${by}`));
    });
  });
}
