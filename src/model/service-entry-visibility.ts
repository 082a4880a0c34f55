/**
 * How far ServiceEntries of a namespace may be seen at most, whatever their exportTo says: mesh config's
 * serviceEntryVisibility, where it is switched on for sidecars. It narrows and never widens.
 * Source: Istio pilot/pkg/model/serviceentry_visibility.go, push_context.go serviceExportTo.
 */
import { fitsSelector } from '#api/label-selector.ts';
import type { ServiceEntryVisibilityJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { Visibility } from './service.ts';

const NOBODY: Visibility = { public: false, namespaces: [] };

/** The visibility that is left. The first policy that fits the namespace decides, then the default. */
export function cappedVisibility(
  wanted: Visibility,
  setting: ServiceEntryVisibilityJson | undefined,
  namespace: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
): Visibility {
  if (setting?.applyToSidecars !== true) return wanted;
  const policy = (setting.policies ?? []).find(({ matchingRules = [] }) =>
    matchingRules.every(
      (rule) =>
        rule.namespaceSelector !== undefined && fitsSelector(rule.namespaceSelector, namespace.labels),
    ),
  );
  const cap = policy === undefined ? setting.defaultVisibility : policy.visibility;
  if (cap === 'NONE') return NOBODY;
  if (cap !== 'NAMESPACE') return wanted;
  const isSeenAtHome = wanted.public || wanted.namespaces.includes(namespace.name);
  return isSeenAtHome ? { public: false, namespaces: [namespace.name] } : NOBODY;
}
