/**
 * The UDP side of an HTTPS server: HTTP/3 over QUIC, beside the TCP listener of the same number.
 * Source: istio pilot/pkg/networking/core/listener.go buildGatewayListener (TransportProtocolQUIC).
 */
import { create } from '@bufbuild/protobuf';
import { type AddressSchema, SocketAddress_Protocol } from '#proto/envoy/config/core/v3/address_pb.ts';
import { UdpSocketConfigSchema } from '#proto/envoy/config/core/v3/udp_socket_config_pb.ts';
import { QuicProtocolOptionsSchema } from '#proto/envoy/config/listener/v3/quic_config_pb.ts';
import type { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { InitOf } from '#xds/message-init.ts';

/** Where it listens. */
export interface QuicPlace {
  readonly address: string;
  readonly extraAddresses: readonly string[];
  readonly port: number;
}

/** The fields by which a listener speaks QUIC. */
export function quicListener({
  address,
  extraAddresses,
  port,
}: QuicPlace): Pick<InitOf<typeof ListenerSchema>, 'address' | 'additionalAddresses' | 'udpListenerConfig'> {
  return {
    address: udpAddress(address, port),
    additionalAddresses: extraAddresses.map((extra) => ({ address: udpAddress(extra, port) })),
    udpListenerConfig: {
      quicOptions: create(QuicProtocolOptionsSchema),
      downstreamSocketConfig: create(UdpSocketConfigSchema),
    },
  };
}

function udpAddress(address: string, port: number): InitOf<typeof AddressSchema> {
  return {
    address: {
      case: 'socketAddress',
      value: {
        protocol: SocketAddress_Protocol.UDP,
        address,
        portSpecifier: { case: 'portValue', value: port },
      },
    },
  };
}
