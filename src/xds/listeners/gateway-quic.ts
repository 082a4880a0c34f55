/**
 * The UDP side of an HTTPS server: HTTP/3 over QUIC, beside the TCP listener of the same number.
 * Source: istio pilot/pkg/networking/core/listener.go buildGatewayListener (TransportProtocolQUIC).
 */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type AddressSchema, SocketAddress_Protocol } from '#proto/envoy/config/core/v3/address_pb.ts';
import { UdpSocketConfigSchema } from '#proto/envoy/config/core/v3/udp_socket_config_pb.ts';
import { QuicProtocolOptionsSchema } from '#proto/envoy/config/listener/v3/quic_config_pb.ts';
import {
  type UdpListenerConfig,
  UdpListenerConfigSchema,
} from '#proto/envoy/config/listener/v3/udp_listener_config_pb.ts';

/** The fields by which a listener speaks QUIC. */
export function quicListener(
  address: string,
  port: number,
): {
  readonly address: MessageInitShape<typeof AddressSchema>;
  readonly udpListenerConfig: UdpListenerConfig;
} {
  return {
    address: {
      address: {
        case: 'socketAddress',
        value: {
          protocol: SocketAddress_Protocol.UDP,
          address,
          portSpecifier: { case: 'portValue', value: port },
        },
      },
    },
    udpListenerConfig: create(UdpListenerConfigSchema, {
      quicOptions: create(QuicProtocolOptionsSchema),
      downstreamSocketConfig: create(UdpSocketConfigSchema),
    }),
  };
}
