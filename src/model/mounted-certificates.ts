/**
 * Certificates that are mounted into a proxy's pod as files and that its node metadata names: they stand in for the workload's own
 * certificate, towards servers and towards clients apart. Pure look-ups in what the proxy said of itself.
 */
import type { Proxy } from './proxy.ts';

/** Paths of PEM files in the pod; '' for one that is not named. */
export interface MountedCertificates {
  readonly certificateChain: string;
  readonly privateKey: string;
  readonly rootCertificates: string;
}

/** What the proxy shows to servers instead of its own certificate. Source: istio NodeMetadata TLS_CLIENT_*; the chain decides. */
export function clientCertificatesOf(proxy: Proxy): MountedCertificates | undefined {
  const certificates = named(proxy, 'TLS_CLIENT');
  return certificates.certificateChain === '' ? undefined : certificates;
}

/** What the proxy shows to clients; each of certificate and roots counts by itself. Source: istio NodeMetadata TLS_SERVER_*. */
export function serverCertificatesOf(proxy: Proxy): MountedCertificates | undefined {
  const certificates = named(proxy, 'TLS_SERVER');
  const { certificateChain, privateKey, rootCertificates } = certificates;
  const isPair = certificateChain !== '' && privateKey !== '';
  return isPair || rootCertificates !== '' ? certificates : undefined;
}

function named({ metadata }: Proxy, prefix: string): MountedCertificates {
  return {
    certificateChain: metadata[`${prefix}_CERT_CHAIN`] ?? '',
    privateKey: metadata[`${prefix}_KEY`] ?? '',
    rootCertificates: metadata[`${prefix}_ROOT_CERT`] ?? '',
  };
}
