// Descriptors of the few messages on our wires that neither the Envoy binary nor istio.io/api carries.
// Written down as data: package, message, field name, type and number are the whole of a wire format.
// Sources: Istio's name table (pkg/dns/proto/nds.proto, DNS capture) and Envoy's client status service
// (envoy/service/status/v3/csds.proto, read by `istioctl proxy-status`), Envoy API 1.40.
import { create } from '@bufbuild/protobuf';
import {
  type DescriptorProto,
  DescriptorProtoSchema,
  type EnumDescriptorProto,
  EnumDescriptorProtoSchema,
  type FieldDescriptorProto,
  FieldDescriptorProtoSchema,
  FieldOptionsSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt';

/** Returns the hand-written files; their imports are all among Envoy's own. */
export function ownDescriptors(): readonly FileDescriptorProto[] {
  return [nameTableFile(), clientStatusFile()];
}

function nameTableFile(): FileDescriptorProto {
  const nameInfo = create(DescriptorProtoSchema, {
    name: 'NameInfo',
    field: [
      repeated(text('ips', 1)),
      text('registry', 2),
      text('shortname', 3),
      text('namespace', 4),
      deprecated(repeated(text('alt_hosts', 5))),
    ],
  });
  const infoType = '.istio.networking.nds.v1.NameTable.NameInfo';
  const tableEntry = create(DescriptorProtoSchema, {
    name: 'TableEntry',
    field: [text('key', 1), message('value', 2, infoType)],
    options: { mapEntry: true },
  });
  return create(FileDescriptorProtoSchema, {
    name: 'istio/networking/nds/v1/nds.proto',
    package: 'istio.networking.nds.v1',
    syntax: 'proto3',
    messageType: [
      {
        name: 'NameTable',
        field: [
          repeated(message('table', 1, '.istio.networking.nds.v1.NameTable.TableEntry')),
          message('name_info', 2, infoType),
        ],
        nestedType: [nameInfo, tableEntry],
      },
    ],
  });
}

function clientStatusFile(): FileDescriptorProto {
  const pkg = '.envoy.service.status.v3';
  const method = (name: string, streaming: boolean) => ({
    name,
    inputType: `${pkg}.ClientStatusRequest`,
    outputType: `${pkg}.ClientStatusResponse`,
    clientStreaming: streaming,
    serverStreaming: streaming,
  });
  return create(FileDescriptorProtoSchema, {
    name: 'envoy/service/status/v3/csds.proto',
    package: 'envoy.service.status.v3',
    syntax: 'proto3',
    dependency: [
      'envoy/admin/v3/config_dump.proto',
      'envoy/admin/v3/config_dump_shared.proto',
      'envoy/config/core/v3/base.proto',
      'envoy/type/matcher/v3/node.proto',
      'google/protobuf/any.proto',
      'google/protobuf/timestamp.proto',
    ],
    enumType: [
      enumeration('ConfigStatus', ['UNKNOWN', 'SYNCED', 'NOT_SENT', 'STALE', 'ERROR']),
      enumeration('ClientConfigStatus', [
        'CLIENT_UNKNOWN',
        'CLIENT_REQUESTED',
        'CLIENT_ACKED',
        'CLIENT_NACKED',
        'CLIENT_RECEIVED_ERROR',
      ]),
    ],
    messageType: clientStatusMessages(pkg),
    service: [
      {
        name: 'ClientStatusDiscoveryService',
        method: [method('StreamClientStatus', true), method('FetchClientStatus', false)],
      },
    ],
  });
}

function clientStatusMessages(pkg: string): DescriptorProto[] {
  const node = '.envoy.config.core.v3.Node';
  const clientConfig = createMessage('ClientConfig', [
    message('node', 1, node),
    deprecated(repeated(message('xds_config', 2, `${pkg}.PerXdsConfig`))),
    repeated(message('generic_xds_configs', 3, `${pkg}.ClientConfig.GenericXdsConfig`)),
    text('client_scope', 4),
  ]);
  clientConfig.nestedType.push(genericXdsConfig(pkg));
  return [
    createMessage('ClientStatusRequest', [
      repeated(message('node_matchers', 1, '.envoy.type.matcher.v3.NodeMatcher')),
      message('node', 2, node),
      flag('exclude_resource_contents', 3),
    ]),
    perXdsConfig(pkg),
    clientConfig,
    createMessage('ClientStatusResponse', [repeated(message('config', 1, `${pkg}.ClientConfig`))]),
  ];
}

function perXdsConfig(pkg: string): DescriptorProto {
  const dump = (name: string, number: number, type: string): FieldDescriptorProto => {
    const field = message(name, number, `.envoy.admin.v3.${type}`);
    field.oneofIndex = 0;
    return field;
  };
  return create(DescriptorProtoSchema, {
    name: 'PerXdsConfig',
    field: [
      choice('status', 1, `${pkg}.ConfigStatus`),
      dump('listener_config', 2, 'ListenersConfigDump'),
      dump('cluster_config', 3, 'ClustersConfigDump'),
      dump('route_config', 4, 'RoutesConfigDump'),
      dump('scoped_route_config', 5, 'ScopedRoutesConfigDump'),
      dump('endpoint_config', 6, 'EndpointsConfigDump'),
      deprecated(choice('client_status', 7, `${pkg}.ClientConfigStatus`)),
    ],
    oneofDecl: [{ name: 'per_xds_config' }],
  });
}

function genericXdsConfig(pkg: string): DescriptorProto {
  return createMessage('GenericXdsConfig', [
    text('type_url', 1),
    text('name', 2),
    text('version_info', 3),
    message('xds_config', 4, '.google.protobuf.Any'),
    message('last_updated', 5, '.google.protobuf.Timestamp'),
    choice('config_status', 6, `${pkg}.ConfigStatus`),
    choice('client_status', 7, '.envoy.admin.v3.ClientResourceStatus'),
    message('error_state', 8, '.envoy.admin.v3.UpdateFailureState'),
    flag('is_static_resource', 9),
  ]);
}

function createMessage(name: string, field: FieldDescriptorProto[]): DescriptorProto {
  return create(DescriptorProtoSchema, { name, field });
}

function text(name: string, number: number): FieldDescriptorProto {
  return create(FieldDescriptorProtoSchema, { name, number, type: Type.STRING, label: Label.OPTIONAL });
}

function flag(name: string, number: number): FieldDescriptorProto {
  return create(FieldDescriptorProtoSchema, { name, number, type: Type.BOOL, label: Label.OPTIONAL });
}

function message(name: string, number: number, typeName: string): FieldDescriptorProto {
  return create(FieldDescriptorProtoSchema, {
    name,
    number,
    type: Type.MESSAGE,
    typeName,
    label: Label.OPTIONAL,
  });
}

function choice(name: string, number: number, typeName: string): FieldDescriptorProto {
  return create(FieldDescriptorProtoSchema, {
    name,
    number,
    type: Type.ENUM,
    typeName,
    label: Label.OPTIONAL,
  });
}

function repeated(field: FieldDescriptorProto): FieldDescriptorProto {
  field.label = Label.REPEATED;
  return field;
}

function deprecated(field: FieldDescriptorProto): FieldDescriptorProto {
  field.options = create(FieldOptionsSchema, { deprecated: true });
  return field;
}

function enumeration(name: string, values: readonly string[]): EnumDescriptorProto {
  return create(EnumDescriptorProtoSchema, {
    name,
    value: values.map((value, number) => ({ name: value, number })),
  });
}
