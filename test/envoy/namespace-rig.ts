/**
 * Two network namespaces with a wire between them: a pod whose traffic the kernel brings to its Envoy by the rules that Istio's init
 * container writes, and the rest of the world. Needs root and the machine's iptables; nothing of it is seen outside.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { METHODS } from './namespace-host.ts';

export type Mode = 'REDIRECT' | 'TPROXY';
export const POD = { v4: '10.77.0.2', v6: 'fd77::2' };
/** Two endpoints, and something that no service names. */
export const WORLD = { a: '10.77.0.3', b: '10.77.0.4', a6: 'fd77::3', outside: '198.51.100.9' };

type Methods = typeof METHODS;
type Host = {
  [K in keyof Methods]: (...args: Parameters<Methods[K]>) => Promise<Awaited<ReturnType<Methods[K]>>>;
};

export interface Interception extends AsyncDisposable {
  /** The application's side of the pod. */
  readonly pod: Host;
  readonly world: Host;
  /** Replaces the pod's rules. */
  intercept(mode: Mode): Promise<void>;
}

/** Tools that are needed. Debian has them where only root looks. */
const PATH = `${process.env['PATH']}:/usr/sbin:/sbin`;
const LIMIT_MS = 20_000;

/** Why there can be no such namespaces here; '' when there can. */
export function whyNoInterception(): string {
  if (process.getuid?.() !== 0) return 'needs root, for network namespaces';
  for (const mode of ['REDIRECT', 'TPROXY'] as const) {
    const problem =
      tryOut(['iptables-restore'], rules(mode, 4)) || tryOut(['ip6tables-restore'], rules(mode, 6));
    if (problem !== '') return `the machine has no iptables for network namespaces: ${problem}`;
  }
  const problem = tryOut(['ip', '-batch', '-'], LINKS.join('\n'));
  return problem === '' ? '' : `the machine has no such links in network namespaces: ${problem}`;
}

/** One of each thing that the pod and the world are made of. */
const LINKS = [
  'link set lo up',
  'link add eth0 type veth peer name eth1',
  `address add ${POD.v4}/24 dev eth0`,
  `address add ${POD.v6}/64 dev eth0 nodad`,
  'rule add fwmark 1337 lookup 133',
  'route add local default dev lo table 133',
  '',
];

/** Runs a command in a namespace of its own, which goes with it; '' or what is wrong. */
function tryOut(command: readonly string[], input: string): string {
  const run = spawnSync('unshare', ['--net', ...command], { input, env: { PATH }, timeout: LIMIT_MS });
  if (run.error !== undefined) return run.error.message;
  return run.status === 0 ? '' : run.stderr.toString().trim() || `exit code ${run.status}`;
}

/** Opens both; nothing is intercepted yet. */
export async function openInterception(): Promise<Interception> {
  const [pod, world] = [startHost(), startHost()];
  const ip = (host: Host, ...lines: readonly string[]): Promise<string> =>
    host.run('ip', ['-batch', '-'], `${lines.join('\n')}\n`);
  await ip(
    pod.host,
    'link set lo up',
    `link add eth0 type veth peer name eth0 netns ${world.child.pid}`,
    'link set eth0 up',
    `address add ${POD.v4}/24 dev eth0`,
    `address add ${POD.v6}/64 dev eth0 nodad`,
    // What 127.0.0.6 is among the addresses of IPv4; Istio's init container adds it too.
    'address add ::6/128 dev lo nodad',
  );
  await ip(
    world.host,
    'link set lo up',
    'link set eth0 up',
    ...[WORLD.a, WORLD.b].map((address) => `address add ${address}/24 dev eth0`),
    `address add ${WORLD.a6}/64 dev eth0 nodad`,
    `address add ${WORLD.outside}/32 dev lo`,
  );
  await ip(pod.host, `route add default via ${WORLD.a}`, `route add default via ${WORLD.a6}`);
  await ip(pod.host, 'rule add fwmark 1337 lookup 133', 'route add local default dev lo table 133');
  return {
    pod: pod.host,
    world: world.host,
    async intercept(mode) {
      await pod.host.run('iptables-restore', [], rules(mode, 4));
      await pod.host.run('ip6tables-restore', [], rules(mode, 6));
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([pod, world].map(endHost));
    },
  };
}

interface Started {
  readonly child: ChildProcess;
  readonly host: Host;
}

function startHost(): Started {
  const program = join(import.meta.dirname, 'namespace-host.ts');
  const child = spawn('unshare', ['--net', process.execPath, program], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, PATH, NODE_TEST_CONTEXT: undefined },
  });
  // What is asked for holds this process, and nothing else does; the other one ends with it.
  child.unref();
  child.channel?.unref();
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  child.on('message', ({ id, result, error }: { id: number; result?: unknown; error?: string }) => {
    const one = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) one?.resolve(result);
    else one?.reject(new Error(error));
  });
  child.on('exit', () => {
    for (const one of waiting.values()) one.reject(new Error('the namespace has ended'));
  });
  let last = 0;
  const ask = (method: string, args: readonly unknown[]): Promise<unknown> => {
    const one = Promise.withResolvers<unknown>();
    waiting.set(++last, one);
    child.send({ id: last, method, args });
    const late = new Error(`no answer to ${method} within ${LIMIT_MS} ms`);
    const timer = setTimeout(() => one.reject(late), LIMIT_MS);
    return one.promise.finally(() => clearTimeout(timer));
  };
  const host = new Proxy({} as Host, {
    get:
      (_target, method: string) =>
      (...args: readonly unknown[]) =>
        ask(method, args),
  });
  return { child, host };
}

async function endHost({ child, host }: Started): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.ref();
  const exited = once(child, 'exit');
  await host.end();
  child.disconnect();
  await exited;
}

/** Source: istio tools/istio-iptables/pkg/capture, without what is for DNS and excluded ports. */
function rules(mode: Mode, family: 4 | 6): string {
  const [own, toApp] = family === 4 ? ['127.0.0.1/32', '127.0.0.6/32'] : ['::1/128', '::6/128'];
  const outbound = [
    '-N ISTIO_OUTPUT',
    '-N ISTIO_REDIRECT',
    '-N ISTIO_IN_REDIRECT',
    '-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001',
    '-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006',
    // What the proxy sends on in its client's name is not to come back to it.
    ...(mode === 'TPROXY' ? ['-A OUTPUT -p tcp -o lo -m mark --mark 1337 -j RETURN'] : []),
    '-A OUTPUT -j ISTIO_OUTPUT',
    `-A ISTIO_OUTPUT -o lo -s ${toApp} -j RETURN`,
    `-A ISTIO_OUTPUT -o lo ! -d ${own} -p tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT`,
    '-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN',
    '-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN',
    `-A ISTIO_OUTPUT -d ${own} -j RETURN`,
    '-A ISTIO_OUTPUT -j ISTIO_REDIRECT',
  ];
  const redirected = [
    '-N ISTIO_INBOUND',
    '-A PREROUTING -p tcp -j ISTIO_INBOUND',
    '-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT',
  ];
  const diverted = [
    '-N ISTIO_DIVERT',
    '-N ISTIO_TPROXY',
    '-N ISTIO_INBOUND',
    '-A ISTIO_DIVERT -j MARK --set-mark 1337',
    '-A ISTIO_DIVERT -j ACCEPT',
    `-A ISTIO_TPROXY ! -d ${own} -p tcp -j TPROXY --tproxy-mark 1337/0xffffffff --on-port 15006`,
    '-A PREROUTING -p tcp -j ISTIO_INBOUND',
    '-A ISTIO_INBOUND -p tcp -m mark --mark 1337 -j RETURN',
    `-A ISTIO_INBOUND -p tcp -s ${toApp} -i lo -j RETURN`,
    '-A ISTIO_INBOUND -p tcp -i lo -m mark ! --mark 1338 -j RETURN',
    '-A ISTIO_INBOUND -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT',
    '-A ISTIO_INBOUND -p tcp -j ISTIO_TPROXY',
    '-A PREROUTING -p tcp -m mark --mark 1337 -j CONNMARK --save-mark',
    '-A OUTPUT -p tcp -o lo -m mark --mark 1337 -j RETURN',
    `-A OUTPUT ! -d ${own} -p tcp -o lo -m owner --gid-owner 1337 -j MARK --set-mark 1338`,
    '-A OUTPUT -p tcp -m connmark --mark 1337 -j CONNMARK --restore-mark',
  ];
  const nat = mode === 'REDIRECT' ? [...outbound, ...redirected] : outbound;
  const mangle = mode === 'REDIRECT' ? [] : diverted;
  return `${['*mangle', ...mangle, 'COMMIT', '*nat', ...nat, 'COMMIT'].join('\n')}\n`;
}
