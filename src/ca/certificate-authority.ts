/**
 * The CA put together: an authority (the operator's own, or a self-signed root on disk or in a Secret) with its rotation, signer,
 * tokens, authenticator and the call that workloads make.
 */
import type { Clock } from '#base/clock.ts';
import { Scope } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { Authenticator } from './authenticator.ts';
import type { AuthorityMaterial } from './authority-material.ts';
import {
  AuthorityRotation,
  NOTHING_KEPT,
  type RetiredRoot,
  type RotationStore,
} from './authority-rotation.ts';
import { CaMetrics, revocationMetrics } from './ca-metrics.ts';
import type { TokenVerifier } from './caller.ts';
import { CertificateService } from './certificate-service.ts';
import { NO_IMPERSONATION, type NodeImpersonation } from './node-impersonation.ts';
import { PluggedInStore, PluggedInWatch, readPluggedIn, type ReadPluggedIn } from './plugged-in-authority.ts';
import { readRetiredRoots } from './retired-roots.ts';
import { openRootStore } from './root-store.ts';
import { SelfSignedWatch } from './self-signed-watch.ts';
import { SharedRoot, type SharedRootOptions } from './shared-root.ts';
import { signingRoot } from './shared-root-record.ts';
import type { RegistrationAuthority } from './registration-authority.ts';
import { Signer, type SignerOptions } from './signer.ts';
import { openTokenAuthenticator, type TokenAuthenticator } from './token-authenticator.ts';

/** What every CA depends on. */
export interface AuthoritySettings {
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  readonly signer: SignerOptions;
  /** Verifiers besides our own tokens' (Kubernetes' TokenReview). */
  readonly tokenVerifiers: readonly TokenVerifier[];
  /** Default: nobody asks for others. */
  readonly impersonation?: NodeImpersonation;
  /** Has workload certificates signed elsewhere. Default: they are signed here. */
  readonly registration?: RegistrationAuthority;
  readonly clock: Clock;
  readonly log: Logger;
  /** False: the revocation lists of an authority that is brought along are not read. Default: they are. */
  readonly hasRevocations?: boolean;
  /** How long at most a new root is handed out before it signs. Default: enough for mounted ConfigMaps to follow. */
  readonly overlapMs?: number;
}

/** What a CA on this machine depends on. */
export interface CertificateAuthoritySettings extends AuthoritySettings {
  /** Holds the root and the token key; 0700. */
  readonly folder: string;
  /** Where the operator may have put a CA of their own. */
  readonly pluggedInFolder?: string;
}

/** An open CA; disposing ends its watching and waiting. */
export interface CertificateAuthority extends Disposable {
  readonly service: CertificateService;
  readonly authenticator: Authenticator;
  readonly signer: Signer;
  readonly rotation: AuthorityRotation;
  readonly metrics: CaMetrics;
  /** Why what an operator brought last does not count, whole or its revocation lists; '' when it does. */
  problem(): string;
  /** All metrics of the CA by name, the time to expiry as of `nowUnixMs`. */
  collectMetrics(nowUnixMs: number): ReadonlyMap<string, number>;
}

/** A CA with a state folder, which issues tokens too. */
export interface LocalAuthority extends CertificateAuthority {
  readonly tokens: TokenAuthenticator;
}

/** A kubelet brings a changed ConfigMap to a pod within about 90 s, and agents look at the file every 10 s. */
const OVERLAP_MS = 120_000;

/** Opens the CA of a state folder. Errors: a text that tells an operator what to mend. */
export async function openCertificateAuthority(
  settings: CertificateAuthoritySettings,
): Promise<Result<LocalAuthority, string>> {
  const { folder, clock } = settings;
  const scope = new Scope();
  const found = await openAuthority(settings, scope);
  if (!found.ok) return found;
  const tokens = await openTokenAuthenticator(folder, clock);
  if (!tokens.ok) {
    scope[Symbol.dispose]();
    return tokens;
  }
  const tokenVerifiers = [tokens.value, ...settings.tokenVerifiers];
  return ok({ ...assemble(found.value, { ...settings, tokenVerifiers }, scope), tokens: tokens.value });
}

/** A CA whose root is shared: `root` says what it waits for, `opened` resolves when there is one. */
export interface SharedAuthority extends Disposable {
  readonly root: SharedRoot;
  readonly opened: Promise<CertificateAuthority>;
}

/** Opens the CA of a root that several control planes share. */
export function openSharedAuthority(
  settings: AuthoritySettings,
  sharing: Pick<SharedRootOptions, 'place' | 'leadership'>,
): SharedAuthority {
  const { trustDomain, signer, clock, log, overlapMs = OVERLAP_MS } = settings;
  const { maxTtlMs } = signer;
  const scope = new Scope();
  const root = scope.add(new SharedRoot({ ...sharing, trustDomain, overlapMs, maxTtlMs, clock, log }));
  const opened = root.opened.then((record) => {
    const first = signingRoot(record, clock.nowMs()).material;
    const { retired } = record;
    const options = { first, retired, store: NOTHING_KEPT, clock, log, overlapMs, maxTtlMs };
    const rotation = scope.add(new AuthorityRotation(options));
    root.follow(rotation);
    return assemble({ rotation, problem: () => '' }, settings, scope);
  });
  return { root, opened, [Symbol.dispose]: () => scope[Symbol.dispose]() };
}

/** An authority, and what is wrong with what should be the next. */
interface Followed {
  readonly rotation: AuthorityRotation;
  readonly problem: () => string;
}

function assemble(
  { rotation, problem }: Followed,
  settings: AuthoritySettings,
  scope: Scope,
): CertificateAuthority {
  const { trustDomain, trustDomainAliases, tokenVerifiers, clock, log } = settings;
  const signer = new Signer(rotation, settings.signer, clock);
  const metrics = new CaMetrics();
  const authenticator = new Authenticator({
    trustDomain,
    trustDomainAliases,
    tokenVerifiers,
    authorities: () => rotation.issuers,
    revocations: () => rotation.revocations,
    clock,
  });
  const { impersonation = NO_IMPERSONATION, registration } = settings;
  if (registration !== undefined) {
    const { roots } = registration;
    rotation.believe(roots.all);
    scope.add(roots.watch(() => rotation.believe(roots.all)));
  }
  const service = new CertificateService({
    authenticator,
    signer,
    registration,
    impersonation,
    metrics,
    log,
  });
  const problemNow = (): string => problem() || rotation.revocationProblem;
  return {
    service,
    authenticator,
    signer,
    rotation,
    metrics,
    problem: problemNow,
    collectMetrics: (nowUnixMs) =>
      new Map([
        ...metrics.collect(rotation.authority, nowUnixMs),
        ...revocationMetrics(rotation.revocations, problemNow()),
      ]),
    [Symbol.dispose]: () => scope[Symbol.dispose](),
  };
}

/** Opens the CA that an operator brings along; undefined where there is none. Errors: as openCertificateAuthority. */
export async function openBroughtAuthority(
  settings: AuthoritySettings,
  read: ReadPluggedIn,
): Promise<Result<CertificateAuthority, string> | undefined> {
  const { signer, clock, log, overlapMs = OVERLAP_MS } = settings;
  const first = await read();
  if (first?.ok !== true) return first;
  const scope = new Scope();
  const kept = { first: first.value, retired: [], store: NOTHING_KEPT };
  const rotation = new AuthorityRotation({ ...kept, clock, log, overlapMs, maxTtlMs: signer.maxTtlMs });
  return ok(assemble(followBrought(read, scope.add(rotation), settings, scope), settings, scope));
}

/** Takes over what is brought from now on. */
function followBrought(
  read: ReadPluggedIn,
  rotation: AuthorityRotation,
  { clock, log }: AuthoritySettings,
  scope: Scope,
): Followed {
  const follow = (material: AuthorityMaterial): Promise<void> => rotation.introduce(material);
  const watch = scope.add(new PluggedInWatch(read, rotation.material, { clock, log }, follow));
  return { rotation, problem: () => watch.problem };
}

interface Start {
  readonly first: AuthorityMaterial;
  readonly retired: readonly RetiredRoot[];
  readonly store: RotationStore;
}

/** The operator's CA where there is one, else our own root. */
async function openAuthority(
  settings: CertificateAuthoritySettings,
  scope: Scope,
): Promise<Result<Followed, string>> {
  const { folder, pluggedInFolder = '', trustDomain, clock, log, signer } = settings;
  const rotate = (start: Start): AuthorityRotation => {
    const overlapMs = settings.overlapMs ?? OVERLAP_MS;
    return scope.add(new AuthorityRotation({ ...start, clock, log, overlapMs, maxTtlMs: signer.maxTtlMs }));
  };
  if (pluggedInFolder !== '') {
    const { hasRevocations = true } = settings;
    const read: ReadPluggedIn = () =>
      readPluggedIn(pluggedInFolder, { nowUnixMs: clock.nowMs(), hasRevocations });
    const brought = await read();
    if (brought?.ok === false) return brought;
    if (brought !== undefined) {
      const store = await PluggedInStore.open(folder);
      if (typeof store === 'string') return fail(store);
      const retired = await readRetiredRoots(folder, clock.nowMs());
      return ok(followBrought(read, rotate({ first: brought.value, retired, store }), settings, scope));
    }
  }
  const own = await openRootStore(folder, trustDomain, clock);
  if (!own.ok) return own;
  const rotation = rotate(own.value);
  if (own.value.pending !== undefined) await rotation.introduce(own.value.pending);
  scope.add(new SelfSignedWatch(own.value.store, rotation, { clock, log }));
  return ok({ rotation, problem: () => '' });
}
