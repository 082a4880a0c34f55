/**
 * What the CA knows about a workload besides its identity, and how it stands in a certificate's subject (decision 003). Facts
 * come from the CA's own evidence only, never from a request. Values outside a small alphabet are left out rather
 * than escaped, so that a reader with a simple pattern reads exactly what was written.
 */
import type { WorkloadIdentity } from '#identity/spiffe.ts';

/** Facts for the peers' metrics; a missing one is unknown. */
export interface WorkloadFacts {
  readonly workload?: string;
  readonly canonicalService?: string;
  readonly canonicalRevision?: string;
  readonly cluster?: string;
}

/** One attribute of a subject, by object identifier. */
export interface SubjectAttribute {
  readonly name: string;
  readonly oid: string;
  readonly value: string;
}

const valuePattern = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

const attributes = [
  { fact: 'canonicalRevision', name: 'OU', oid: '2.5.4.11' },
  { fact: 'cluster', name: 'L', oid: '2.5.4.7' },
  { fact: 'canonicalService', name: 'UID', oid: '0.9.2342.19200300.100.1.1' },
  { fact: 'workload', name: 'CN', oid: '2.5.4.3' },
] as const;

/** Builds the subject: nothing without facts, else the namespace and every fact that may be written. */
export function buildSubject(identity: WorkloadIdentity, facts: WorkloadFacts): readonly SubjectAttribute[] {
  const written: SubjectAttribute[] = [];
  for (const { fact, name, oid } of attributes) {
    const value = facts[fact];
    if (value !== undefined && valuePattern.test(value)) written.push({ name, oid, value });
  }
  if (written.length === 0 || !valuePattern.test(identity.namespace)) return written;
  return [{ name: 'O', oid: '2.5.4.10', value: identity.namespace }, ...written];
}

/** Reads facts back from a subject as node prints it (`OU=v1\nCN=reviews-v1`); for a certificate that our CA signed. */
export function readSubject(subject: string): WorkloadFacts {
  const values = new Map<string, string>();
  for (const line of subject.split('\n')) {
    const equals = line.indexOf('=');
    const value = line.slice(equals + 1);
    if (equals > 0 && valuePattern.test(value)) values.set(line.slice(0, equals), value);
  }
  return pickFacts((name) => values.get(attributeNames[name]));
}

const attributeNames = {
  workload: 'CN',
  canonicalService: 'UID',
  canonicalRevision: 'OU',
  cluster: 'L',
} as const;

/** Makes facts from a look-up; values that are missing or empty are left out. */
export function pickFacts(lookUp: (name: keyof WorkloadFacts) => string | undefined): WorkloadFacts {
  const facts: { -readonly [name in keyof WorkloadFacts]: string } = {};
  for (const name of ['workload', 'canonicalService', 'canonicalRevision', 'cluster'] as const) {
    const value = lookUp(name);
    if (value !== undefined && value !== '') facts[name] = value;
  }
  return facts;
}
