/** Random objects of security.istio.io over the fixed mesh: what decides who may call. */
import type { Draw } from './simulation-draw.ts';
import type { Manifest } from './simulation-mesh.ts';
import { ISSUER } from './simulation-tokens.ts';

type Plain = Readonly<Record<string, unknown>>;

const PRINCIPALS = [
  'cluster.local/ns/default/sa/friend',
  '*/sa/stranger',
  'cluster.local/ns/shop/*',
  '*',
] as const;
const PATHS = ['/a', '/api/*', '*.png', '/x/{*}/y', '/v1/{**}', '*'] as const;

export class PolicyDraw {
  readonly #draw: Draw;
  readonly #labels: Readonly<Record<string, string>>;

  /** For the workload with these labels. */
  constructor(draw: Draw, labels: Readonly<Record<string, string>>) {
    this.#draw = draw;
    this.#labels = labels;
  }

  peerAuthentications(): readonly Manifest[] {
    const draw = this.#draw;
    const mode = (): string => draw.one(['STRICT', 'PERMISSIVE', 'DISABLE']);
    const portLevelMtls = draw.some(0.5, {
      7001: { mode: mode() },
      7002: { mode: mode() },
      7003: { mode: mode() },
    });
    const selector = { matchLabels: this.#labels };
    if (!draw.chance(0.8)) return [];
    const hasPorts = Object.keys(portLevelMtls).length > 0;
    return [
      security('PeerAuthentication', 'own', {
        selector,
        mtls: { mode: mode() },
        ...(hasPorts ? { portLevelMtls } : {}),
      }),
    ];
  }

  /** Tokens are checked in most meshes. */
  requestAuthentications(jwks: string): readonly Manifest[] {
    const draw = this.#draw;
    if (!draw.chance(0.8)) return [];
    const rule = {
      issuer: ISSUER,
      jwks,
      ...draw.some(0.3, {
        audiences: ['api'],
        forwardOriginalToken: true,
        outputClaimToHeaders: [{ header: 'x-b', claim: 'sub' }],
        fromHeaders: [{ name: 'x-token', prefix: 'token ' }],
      }),
    };
    const selector = { matchLabels: this.#labels };
    return [security('RequestAuthentication', 'tokens', { selector, jwtRules: [rule] })];
  }

  authorizationPolicies(): readonly Manifest[] {
    const draw = this.#draw;
    const count = draw.one([0, 1, 2, 3]);
    return Array.from({ length: count }, (_, i) => {
      const rules = Array.from({ length: draw.one([0, 1, 1, 2]) }, () => this.#rule());
      const action = rules.length === 0 ? 'ALLOW' : draw.one(['ALLOW', 'DENY', 'DENY', 'AUDIT']);
      return security('AuthorizationPolicy', `policy${i}`, {
        selector: { matchLabels: this.#labels },
        action,
        ...(rules.length === 0 ? {} : { rules }),
      });
    });
  }

  #rule(): Plain {
    const draw = this.#draw;
    const fields = {
      from: [{ source: this.#source() }],
      to: [{ operation: this.#operation() }],
      when: [this.#condition()],
    };
    const drawn = draw.some(0.5, fields);
    return Object.keys(drawn).length === 0 ? { to: fields.to } : drawn;
  }

  #source(): Plain {
    const draw = this.#draw;
    return draw.one<Plain>([
      { principals: [draw.one(PRINCIPALS)] },
      { notPrincipals: [draw.one(PRINCIPALS)] },
      { namespaces: [draw.one(['default', 'sh*', '*'])] },
      { notNamespaces: ['shop'] },
      { serviceAccounts: [draw.one(['friend', 'shop/stranger'])] },
      { ipBlocks: ['127.66.0.0/16'] },
      { notIpBlocks: ['127.66.0.1'] },
      { remoteIpBlocks: ['127.67.0.0/16', '192.0.2.0/24'] },
      { principals: ['*'], ipBlocks: ['127.0.0.0/8'] },
      { requestPrincipals: [draw.one([`${ISSUER}/alice`, `${ISSUER}/*`, '*'])] },
      { notRequestPrincipals: ['*'] },
    ]);
  }

  #operation(): Plain {
    const draw = this.#draw;
    return draw.one<Plain>([
      { paths: [draw.one(PATHS)] },
      { notPaths: [draw.one(PATHS)] },
      { methods: ['GET'] },
      { notMethods: ['POST'] },
      { hosts: [draw.one(['client:8080', 'client*', '*'])] },
      { notHosts: ['a'] },
      { ports: [draw.one(['7001', '7002', '8080', '9000'])] },
      { notPorts: ['7003'] },
      { paths: [draw.one(PATHS)], methods: ['GET', 'P*'] },
    ]);
  }

  #condition(): Plain {
    const draw = this.#draw;
    return draw.one<Plain>([
      { key: 'request.headers[x-b]', values: [draw.one(['v1', 'v*', '*'])] },
      { key: 'request.headers[end-user]', notValues: ['jason'] },
      { key: 'source.ip', values: ['127.66.0.0/24'] },
      { key: 'remote.ip', notValues: ['127.66.0.1/32'] },
      { key: 'source.namespace', values: ['default'] },
      { key: 'source.principal', values: [draw.one(PRINCIPALS)] },
      { key: 'destination.port', values: ['7001', '8080'] },
      { key: 'destination.ip', values: ['127.77.0.0/16'] },
      { key: 'request.auth.claims[groups]', values: [draw.one(['dev', 'op*', 'none'])] },
      { key: 'request.auth.claims[nested][role]', values: ['admin'] },
      { key: 'request.auth.claims[scope]', notValues: ['write'] },
      { key: 'request.auth.audiences', values: ['api'] },
      { key: 'connection.sni', values: ['*.example.com'] },
    ]);
  }
}

function security(kind: string, name: string, spec: Plain): Manifest {
  return { apiVersion: 'security.istio.io/v1', kind, metadata: { name, namespace: 'default' }, spec };
}
