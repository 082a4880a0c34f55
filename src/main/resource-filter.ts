/**
 * Which custom resources are read at all: PILOT_IGNORE_RESOURCES and PILOT_INCLUDE_RESOURCES, lists of names such as
 * `gateways.networking.istio.io`, where `*.istio.io` stands for all that end so. Pure.
 * Source: istio pkg/kube/kclient/crdwatcher.go filterPilotResources.
 */

/** Says whether a resource, `plural.group`, is read. */
export type ResourceFilter = (resource: string) => boolean;

/** The filter of two lists; what is included is read whatever is ignored. */
export function resourceFilter(ignored: readonly string[], included: readonly string[]): ResourceFilter {
  return (resource) => {
    const isNamed = (names: readonly string[]): boolean => names.some((name) => fits(name, resource));
    return isNamed(included) || !isNamed(ignored);
  };
}

function fits(name: string, resource: string): boolean {
  return name.startsWith('*.') ? resource.endsWith(name.slice('*.'.length)) : resource === name;
}
