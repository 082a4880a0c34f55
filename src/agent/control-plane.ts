/**
 * The way to the control plane, for configuration and certificates alike: one HTTP/2 connection per use, over TLS against the mesh's
 * root, with the workload's token or a provisioned client certificate. Files are read again for every
 * connection, since tokens and roots change while the agent lives. A token never leaves in the clear, but to this machine.
 */
import { readFile } from 'node:fs/promises';
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from 'node:http2';
import { isIP } from 'node:net';
import type { Clock } from '#base/clock.ts';
import { type CompliancePolicy, tlsLimits } from '#base/compliance.ts';
import { Secret } from '#base/secret.ts';

/** Where the control plane is and how to prove ourselves to it. */
export interface ControlPlaneSettings {
  readonly host: string;
  readonly port: number;
  readonly security: 'tls' | 'plaintext';
  /** PEM of the roots to verify against; 'SYSTEM' for those of the machine. */
  readonly rootCertPath: string;
  /** The name that the server's certificate must show, where it is not the host. */
  readonly serverName: string | undefined;
  readonly tokenPath: string;
  /** For machines that were given a certificate. */
  readonly clientCertificate: ClientCertificateFiles | undefined;
  readonly clusterId: string;
  readonly compliance: CompliancePolicy;
  /** Further headers of each call, names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** PEM files, read again for every connection. */
export interface ClientCertificateFiles {
  readonly chainPath: string;
  readonly keyPath: string;
}

const connectTimeoutMs = 5000;
const keepaliveMs = 30_000;
const keepaliveTimeoutMs = 10_000;
const windowBytes = 1024 * 1024;

/** Opens connections to the control plane. */
export class ControlPlane {
  readonly #settings: ControlPlaneSettings;
  readonly #clock: Clock;
  readonly #believed: () => string;

  /** `believed`: PEM of roots besides those of the file, which may lag behind; '' for none. */
  constructor(settings: ControlPlaneSettings, clock: Clock, believed: () => string = () => '') {
    this.#settings = settings;
    this.#clock = clock;
    this.#believed = believed;
  }

  get address(): string {
    return `${this.#settings.host}:${this.#settings.port}`;
  }

  /** Connects, and gives the session once it is usable. Errors: rejects with what to look at. */
  async connect(): Promise<ClientHttp2Session> {
    const { host, port, security } = this.#settings;
    const authority = `${security === 'tls' ? 'https' : 'http'}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
    const options = security === 'tls' ? await this.#tlsOptions() : {};
    const session = connect(authority, {
      ...options,
      settings: { initialWindowSize: windowBytes, enablePush: false },
    });
    await this.#whenConnected(session);
    session.setLocalWindowSize(windowBytes);
    this.#keepAlive(session);
    return session;
  }

  /** The headers of a call: gRPC's own, and who calls. */
  async callHeaders(path: string): Promise<OutgoingHttpHeaders> {
    const token = await this.#readToken();
    return {
      ...Object.fromEntries(this.#settings.headers),
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'pilot-agent',
      clusterid: this.#settings.clusterId,
      ...(token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }),
    };
  }

  async #readToken(): Promise<Secret | undefined> {
    const { host, security, tokenPath } = this.#settings;
    const isLocal = host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
    if (security === 'plaintext' && !isLocal) return undefined;
    const text = await readIfThere(tokenPath);
    return text === undefined ? undefined : new Secret(text.toString('utf8').trim());
  }

  async #tlsOptions(): Promise<Record<string, unknown>> {
    const { host, rootCertPath, serverName, clientCertificate, compliance } = this.#settings;
    const name = serverName ?? host;
    const client =
      clientCertificate === undefined
        ? {}
        : {
            cert: await readIfThere(clientCertificate.chainPath),
            key: await readIfThere(clientCertificate.keyPath),
          };
    return {
      ...client,
      ...(rootCertPath === 'SYSTEM'
        ? {}
        : { ca: [await readFile(rootCertPath), this.#believed()].filter((pem) => pem.length > 0) }),
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ...tlsLimits(compliance),
    };
  }

  #whenConnected(session: ClientHttp2Session): Promise<void> {
    return new Promise((resolve, reject) => {
      const timeout = this.#clock.schedule(connectTimeoutMs, () => {
        session.destroy(new Error(`no connection to ${this.address} within ${connectTimeoutMs} ms`));
      });
      session.once('connect', () => {
        timeout[Symbol.dispose]();
        resolve();
      });
      session.on('error', (error) => {
        timeout[Symbol.dispose]();
        reject(error);
      });
    });
  }

  /** A peer that went away without a word is noticed by the ping that it does not answer. */
  #keepAlive(session: ClientHttp2Session): void {
    let timer = this.#clock.schedule(keepaliveMs, ping);
    const clock = this.#clock;
    function ping(): void {
      timer = clock.schedule(keepaliveTimeoutMs, () =>
        session.destroy(new Error('the control plane does not answer')),
      );
      session.ping(() => {
        timer[Symbol.dispose]();
        if (!session.closed && !session.destroyed) timer = clock.schedule(keepaliveMs, ping);
      });
    }
    session.on('close', () => timer[Symbol.dispose]());
  }
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch {
    return undefined;
  }
}
