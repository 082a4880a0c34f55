/**
 * Addresses of one mesh on the loopback network: a block 127.B.0.0/16 that no other running mesh of this machine has,
 * and three addresses in it for each replica. Claimed by a file with the owner's pid; a dead owner's claim is taken over.
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

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
const MAX_REPLICAS = 65_536 / PER_REPLICA - 1;

/** A claimed block. Disposing gives it back. */
export interface AddressBlock extends Disposable {
  readonly prefix: string;
  /** Takes addresses for a replica; throws when the block is used up. */
  allocate(): ReplicaAddresses;
  /** Gives a replica's addresses back. */
  release(addresses: ReplicaAddresses): void;
}

/** Claims the first free block. `claimsDir` is shared by all meshes of this user; it is made if missing. */
export function claimAddressBlock(claimsDir: string): AddressBlock {
  mkdirSync(claimsDir, { recursive: true, mode: 0o700 });
  for (let block = FIRST_BLOCK; block <= LAST_BLOCK; block++) {
    const file = join(claimsDir, `127.${block}`);
    if (claim(file)) return addressBlock(`127.${block}`, () => rmSync(file, { force: true }));
  }
  throw new Error(`all address blocks from 127.${FIRST_BLOCK} to 127.${LAST_BLOCK} are in use (see ${claimsDir})`);
}

function claim(file: string): boolean {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const fd = openSync(file, 'wx', 0o600);
      writeSync(fd, String(process.pid));
      closeSync(fd);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (isAlive(Number(readFileSync(file, 'utf8')))) return false;
      rmSync(file, { force: true });
    }
  }
  return false;
}

/** Whether a process with this id exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function addressBlock(prefix: string, giveBack: () => void): AddressBlock {
  const free: number[] = [];
  let next = 1;
  const slots = new Map<string, number>();
  return {
    prefix,
    allocate() {
      const slot = free.shift() ?? next++;
      if (slot > MAX_REPLICAS) throw new Error(`the address block ${prefix}.0.0/16 is used up`);
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
    [Symbol.dispose]: giveBack,
  };
}
