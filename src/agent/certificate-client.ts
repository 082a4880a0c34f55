/**
 * Asks the CA for a certificate: one unary gRPC call on a connection of its own (it happens twice a day). The answer is bounded
 * in size and time.
 */
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import type { Clock } from '#base/clock.ts';
import { decodeGrpcMessage, GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { fail, type Result } from '#base/result.ts';
import {
  createCertificatePath,
  decodeCertificateReply,
  encodeCertificateCall,
} from '#identity/certificate-message.ts';
import type { ControlPlane } from './control-plane.ts';

const maxReplyBytes = 1024 * 1024;
const callTimeoutMs = 10_000;

/** Makes certificate calls. */
export class CertificateClient {
  readonly #controlPlane: ControlPlane;
  readonly #clock: Clock;
  readonly #certSigner: string;

  /** `certSigner`: which signer the CA is to use; '' leaves it to the CA. */
  constructor(controlPlane: ControlPlane, clock: Clock, certSigner = '') {
    this.#controlPlane = controlPlane;
    this.#clock = clock;
    this.#certSigner = certSigner;
  }

  /** Gives the chain in PEM, leaf first, root last. Errors: a text for the log. */
  async createCertificate(csrPem: string, ttlMs: number): Promise<Result<readonly string[], string>> {
    let session: ClientHttp2Session | undefined;
    try {
      session = await this.#controlPlane.connect();
      const stream = session.request(await this.#controlPlane.callHeaders(createCertificatePath));
      using _timeout = this.#clock.schedule(callTimeoutMs, () =>
        stream.destroy(new Error('the CA does not answer')),
      );
      stream.end(grpcFrame(encodeCertificateCall(csrPem, ttlMs / 1000, this.#certSigner)));
      return await readReply(stream);
    } catch (error) {
      return fail(`${this.#controlPlane.address}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      session?.destroy();
    }
  }
}

/** Reads the one message, and the status that may come in the head (an error without a message) or in the trailers. */
async function readReply(stream: ClientHttp2Stream): Promise<Result<readonly string[], string>> {
  let status = 'no status';
  let isOk = false;
  function takeStatus(headers: Readonly<Record<string, unknown>>): void {
    const code = headers['grpc-status'];
    if (code === undefined) return;
    isOk = String(code) === '0';
    status = `gRPC status ${String(code)}: ${decodeGrpcMessage(String(headers['grpc-message'] ?? ''))}`;
  }
  stream.on('response', (headers) => {
    if (headers[':status'] !== 200) status = `HTTP status ${headers[':status']}`;
    takeStatus(headers);
  });
  stream.on('trailers', takeStatus);
  const reader = new GrpcFrameReader(maxReplyBytes);
  let message: Uint8Array | undefined;
  for await (const chunk of stream) {
    if (Buffer.isBuffer(chunk)) for (const whole of reader.push(chunk)) message ??= whole;
  }
  if (!isOk) return fail(status);
  return message === undefined ? fail('an empty reply') : decodeCertificateReply(message);
}
