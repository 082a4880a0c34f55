/**
 * Addresses of one mesh on the loopback network: a block 127.B.0.0/16 that no other running mesh of this machine has,
 * and three addresses in it for each replica. A block is claimed by listening on a port of its last address: the kernel
 * gives that to one process only, whoever owns it, and takes it back when the process ends.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { hasCode } from './system-error.ts';

/** The addresses of one replica. */
export interface ReplicaAddresses {
  /** Where the proxy listens: inbound ports and the admin, health and metrics ports. */
  readonly proxy: string;
  /** Where the application listens. */
  readonly app: string;
  /** Where the proxy's bound outbound TCP listeners are. */
  readonly outbound: string;
}

const FIRST_BLOCK = 64;
const LAST_BLOCK = 120;
const PER_REPLICA = 4;
const MAX_REPLICAS = 65_536 / PER_REPLICA - 2;
const CLAIM_PORT = 15_098;
/** So many slots rest before the oldest is used again: callers may still have connections to who was there. */
const RESTING = 64;

/** A claimed block. Disposing gives it back. */
export interface AddressBlock extends Disposable {
  readonly prefix: string;
  /** Takes addresses for a replica; throws when the block is used up. */
  allocate(): ReplicaAddresses;
  /** Gives a replica's addresses back. */
  release(addresses: ReplicaAddresses): void;
}

/** Claims the first free block. Errors: throws when all are taken. */
export async function claimAddressBlock(): Promise<AddressBlock> {
  for (let block = FIRST_BLOCK; block <= LAST_BLOCK; block++) {
    const claim = await listen(`127.${block}.255.254`);
    if (claim !== undefined) return addressBlock(`127.${block}`, claim);
  }
  throw new Error(
    `all address blocks from 127.${FIRST_BLOCK} to 127.${LAST_BLOCK} are in use by other meshes`,
  );
}

/** Listens, or gives undefined when somebody else does. */
async function listen(host: string): Promise<Disposable | undefined> {
  const server = createServer((socket) => socket.destroy());
  try {
    server.listen(CLAIM_PORT, host);
    await once(server, 'listening');
    server.unref();
    return { [Symbol.dispose]: () => server.close() };
  } catch (error) {
    if (hasCode(error, 'EADDRINUSE')) return undefined;
    throw error;
  }
}

function addressBlock(prefix: string, claim: Disposable): AddressBlock {
  const free: number[] = [];
  let next = 1;
  const slots = new Map<string, number>();
  return {
    prefix,
    allocate() {
      const isUsedUp = next > MAX_REPLICAS;
      const rested = free.length > (isUsedUp ? 0 : RESTING) ? free.shift() : undefined;
      if (rested === undefined && isUsedUp) throw new Error(`the address block ${prefix}.0.0/16 is used up`);
      const slot = rested ?? next++;
      const address = (n: number): string => {
        const offset = slot * PER_REPLICA + n;
        return `${prefix}.${offset >> 8}.${offset & 255}`;
      };
      const addresses = { proxy: address(1), app: address(2), outbound: address(3) };
      slots.set(addresses.proxy, slot);
      return addresses;
    },
    release(addresses) {
      const slot = slots.get(addresses.proxy);
      if (slot === undefined) return;
      slots.delete(addresses.proxy);
      free.push(slot);
    },
    [Symbol.dispose]: () => claim[Symbol.dispose](),
  };
}
