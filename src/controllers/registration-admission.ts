/**
 * Whether a proxy that connects may register, and as which WorkloadEntry: decided at once from what is known, before anything is
 * written. A proxy that says nothing of entries is none of our business. Source: istio pilot/pkg/autoregistration controller.go
 * OnConnect, registerWorkload, ensureProxyCanControlEntry.
 */
import { decodeObject } from '#api/decode-object.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { WorkloadEntrySpec } from '#api/workload-entry.ts';
import type { WorkloadGroupSpec } from '#api/workload-group.ts';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import {
  GRPC_FAILED_PRECONDITION,
  GRPC_INVALID_ARGUMENT,
  GRPC_PERMISSION_DENIED,
  type GrpcStatus,
  grpcStatus,
} from '#base/grpc-frame.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { Collection } from '#collections/collection.ts';
import type { Proxy } from '#model/proxy.ts';
import {
  claimedEntry,
  controlProblem,
  type EntryOwnership,
  entryFromGroup,
  HEALTH_CHECKS_ANNOTATION,
  registeredEntryName,
  registrationGroup,
} from '#model/workload-registration.ts';

/** What is allowed here. Source: PILOT_ENABLE_WORKLOAD_ENTRY_…, ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY. */
export interface AdmissionRules {
  readonly autoRegisters: boolean;
  readonly checksHealth: boolean;
  readonly validatesIdentity: boolean;
}

export interface RegistrationAdmissionOptions {
  readonly rules: AdmissionRules;
  readonly groups: Collection<MeshObject<WorkloadGroupSpec>>;
  readonly entries: Collection<MeshObject<WorkloadEntrySpec>>;
}

/** An entry that a proxy may speak for. */
export interface AdmittedEntry {
  /** `namespace/name`. */
  readonly key: string;
  /** Name of the group that it is made from; '' for an entry that a user made. */
  readonly group: string;
}

type Admission = Result<AdmittedEntry | undefined, GrpcStatus>;

export class RegistrationAdmission {
  readonly #options: RegistrationAdmissionOptions;

  constructor(options: RegistrationAdmissionOptions) {
    this.#options = options;
  }

  /** Undefined for a proxy without an entry. Errors: the status with which it is sent away. */
  admit(proxy: Proxy): Admission {
    const { autoRegisters, checksHealth } = this.#options.rules;
    if (autoRegisters && registrationGroup(proxy) !== '') return this.#admitToGroup(proxy);
    if (checksHealth && claimedEntry(proxy) !== '') return this.#admitToEntry(proxy);
    return ok(undefined);
  }

  /** Why the proxy may not speak for an entry; undefined when it may. */
  problem(proxy: Proxy, entry: EntryOwnership, group: string): string | undefined {
    return this.#options.rules.validatesIdentity ? controlProblem(proxy, entry, group) : undefined;
  }

  #admitToGroup(proxy: Proxy): Admission {
    const group = registrationGroup(proxy);
    const name = registeredEntryName(proxy);
    if (!name.ok) return fail(grpcStatus(GRPC_INVALID_ARGUMENT, name.error));
    const key = `${proxy.namespace}/${name.value}`;
    const entry = this.#options.entries.get(key) ?? this.#newEntry(proxy, group, name.value);
    if ('error' in entry) return fail(entry.error);
    const problem = this.problem(proxy, entry, group);
    return problem === undefined ? ok({ key, group }) : refuse(problem);
  }

  /** What the entry would be. */
  #newEntry(proxy: Proxy, groupName: string, name: string): EntryOwnership | { readonly error: GrpcStatus } {
    const group = this.#options.groups.get(`${proxy.namespace}/${groupName}`);
    if (group === undefined) {
      const text = `auto-registration failed: cannot find WorkloadGroup ${proxy.namespace}/${groupName}`;
      return { error: grpcStatus(GRPC_FAILED_PRECONDITION, text) };
    }
    const document = entryFromGroup(proxy, group, name);
    const { object, diagnostics } = decodeObject(document, { defaultNamespace: proxy.namespace });
    if (object !== undefined) return object as MeshObject<WorkloadEntrySpec>;
    const text = diagnostics.map(printDiagnostic).join('; ');
    return { error: grpcStatus(GRPC_INVALID_ARGUMENT, `auto-registration failed: ${text}`) };
  }

  #admitToEntry(proxy: Proxy): Admission {
    const key = `${proxy.namespace}/${claimedEntry(proxy)}`;
    const entry = this.#options.entries.get(key);
    if (entry === undefined) {
      const text = `the proxy says that it is WorkloadEntry ${key}, which is not found`;
      return fail(grpcStatus(GRPC_FAILED_PRECONDITION, text));
    }
    if (entry.annotations[HEALTH_CHECKS_ANNOTATION] === undefined) return ok(undefined);
    const problem = this.problem(proxy, entry, '');
    return problem === undefined ? ok({ key, group: '' }) : refuse(problem);
  }
}

function refuse(problem: string): Result<never, GrpcStatus> {
  return fail(grpcStatus(GRPC_PERMISSION_DENIED, `registration refused: ${problem}`));
}
