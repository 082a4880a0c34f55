/** The route of a request, found when its headers are ready, and again when a filter says that it may have changed. */
import type { Evaluation } from '#simulation/evaluation.ts';
import { causeOfRoute, selectRoute } from '#simulation/route/route-selection.ts';
import type { RequestState } from './request-state.ts';

/** Finds the route for the headers as they are now. */
export function chooseRoute(evaluation: Evaluation, state: RequestState): void {
  const { routes, headers, metadata, peer } = state;
  state.cluster = undefined;
  if (routes === undefined) {
    evaluation.note('route', '', 'no route configuration');
    state.selection = undefined;
    return;
  }
  const subject = {
    headers,
    metadata,
    isTls: peer.isTls,
    hasClientCertificate: peer.certificate !== undefined,
    onUnknown: (what: string) => evaluation.notEvaluated('route', routes.name, what),
  };
  const selection = selectRoute(routes, subject, evaluation.chance);
  state.selection = selection;
  const { virtualHost } = selection;
  const found = virtualHost === undefined ? 'no virtual host' : `virtual host ${virtualHost.name}`;
  evaluation.note('virtual-host', headers.authority, `${found} in ${routes.name}`);
  if (selection.kind === 'route') {
    const { route, index } = selection;
    const count = selection.virtualHost.routes.length;
    evaluation.note('route', route.name, `route ${index + 1} of ${count} takes it`, causeOfRoute(route));
  } else {
    const result = selection.kind === 'none' ? 'no route takes it' : 'plain HTTP where https is demanded';
    const causes = selection.kind === 'none' ? [] : (state.routesEntry?.causes ?? []);
    evaluation.note('route', headers.path, result, causes);
  }
}
