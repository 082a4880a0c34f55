/**
 * Which objects of a cluster belong to this control plane: discovery selectors (meshConfig.discoverySelectors, on the labels
 * of namespaces) and the revision label (istio.io/rev). Pure.
 */
import { fitsSelector } from '#api/label-selector.ts';
import type { LabelSelectorJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';

const REVISION_LABEL = 'istio.io/rev';

export type Labels = Readonly<Record<string, string>>;

/** True when one of the selectors fits, or there is none. Source: Istio, meshConfig.discoverySelectors. */
export function isNamespaceSelected(selectors: readonly LabelSelectorJson[], labels: Labels): boolean {
  return selectors.length === 0 || selectors.some((selector) => fitsSelector(selector, labels));
}

/** An object without the label belongs to all revisions. Source: Istio, label istio.io/rev on its kinds. */
export function isOfRevision(revision: string, labels: unknown): boolean {
  const own = labelsOf(labels)[REVISION_LABEL] ?? '';
  return own === '' || own === revision;
}

/** Labels as an API server sends them; what is no text is left out. */
export function labelsOf(value: unknown): Labels {
  const labels = Object.create(null) as Record<string, string>;
  if (typeof value !== 'object' || value === null) return labels;
  for (const [key, text] of Object.entries(value)) if (typeof text === 'string') labels[key] = text;
  return labels;
}
