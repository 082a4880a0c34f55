/**
 * Who may see an object: exportTo lists of objects, the annotation of Kubernetes Services, and the mesh's defaults.
 */
import { sortedBy } from '#base/bytes-order.ts';
import type { Visibility } from './service.ts';

const EVERYBODY: Visibility = { public: true, namespaces: [] };
const NOBODY: Visibility = { public: false, namespaces: [] };

/**
 * An exportTo list as the owner in `namespace` means it: `*` wins over all, `~` over names, `.` is the own namespace.
 * Source: Istio pilot/pkg/model/push_context.go initServiceRegistry.
 */
export function visibilityOf(exportTo: readonly string[], namespace: string): Visibility {
  if (exportTo.includes('*')) return EVERYBODY;
  if (exportTo.includes('~')) return NOBODY;
  const namespaces = new Set(exportTo.map((entry) => (entry === '.' ? namespace : entry)));
  return { public: false, namespaces: sortedBy(namespaces, (name) => name) };
}

/** True when a proxy in `namespace` may see the object. */
export function isVisibleTo(visibility: Visibility, namespace: string): boolean {
  return visibility.public || visibility.namespaces.includes(namespace);
}
