/**
 * What a conformance suite is: it finds its cases in a folder, never by name, and says of each whether we pass. Outcomes are
 * values, so that the runner prints, counts and writes them in one form for all suites.
 */

/** What a case needs beyond what every case needs; found from its inputs. */
export type Capability = 'multicluster' | 'gateway-api' | 'ambient' | 'telemetry' | 'security';

/** One case, ready to be run. */
export interface ConformanceCase {
  readonly name: string;
  /** Tags of the case, and the capabilities it needs. */
  readonly tags: readonly string[];
  readonly needs: readonly Capability[];
  /** Why the case cannot be run at all. */
  readonly skip?: string;
  /** Differences in words, none when it passes. May throw: that too is a failure of this case alone. */
  run(context: CaseContext): readonly string[];
}

/** What a case may use while it runs. */
export interface CaseContext {
  /** Counts one thing that the comparison leaves out on purpose, by the name it has on the suite's list. */
  ignore(what: string): void;
  /** Writes what was generated for a proxy, when asked for. */
  dump(caseName: string, file: string, value: unknown): void;
}

/** One suite of ../shared/conformance or of a folder of the same form. */
export interface Suite {
  readonly name: string;
  /** Capabilities that this suite cannot pass yet: its cases are reported as skipped. */
  readonly missing: readonly Capability[];
  /** All cases below the folder that holds the suites. Errors: throws when there are none. */
  cases(dir: string): readonly ConformanceCase[];
}
