/** Kubernetes' label selectors, as mesh config uses them for namespaces. Pure. */
import type { LabelSelectorJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';

/** Kubernetes' rules: all parts must fit, and NotIn also fits where the label is missing. An empty selector fits all. */
export function fitsSelector(selector: LabelSelectorJson, labels: Readonly<Record<string, string>>): boolean {
  const matchLabels = Object.entries(selector.matchLabels ?? {});
  if (!matchLabels.every(([key, value]) => valueOf(labels, key) === value)) return false;
  return (selector.matchExpressions ?? []).every(({ key = '', operator, values = [] }) => {
    const value = valueOf(labels, key);
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value);
      case 'NotIn':
        return value === undefined || !values.includes(value);
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
      default:
        return false;
    }
  });
}

function valueOf(labels: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}
