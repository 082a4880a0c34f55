/** The cluster of a route: named, chosen by weight, or named by a header. Chosen once per request, when first needed. */
import type { Evaluation } from '#simulation/evaluation.ts';
import type { ChosenCluster, RequestState } from './request-state.ts';

const DEFAULT_WEIGHT = 1;

/** The cluster; undefined when the route leads to none. */
export function chooseCluster(evaluation: Evaluation, state: RequestState): ChosenCluster | undefined {
  state.cluster ??= pickCluster(evaluation, state);
  return state.cluster;
}

function pickCluster(
  evaluation: Evaluation,
  { selection, headers }: RequestState,
): ChosenCluster | undefined {
  const action = selection?.kind === 'route' ? selection.route.action : undefined;
  if (action?.case !== 'route') return undefined;
  const specifier = action.value.clusterSpecifier;
  switch (specifier.case) {
    case 'cluster':
      return { name: specifier.value, index: -1 };
    case 'clusterHeader':
      return { name: headers.get(specifier.value) ?? '', index: -1 };
    case 'weightedClusters': {
      const { clusters } = specifier.value;
      const index = evaluation.chance.pick(clusters.map(({ weight }) => weight ?? DEFAULT_WEIGHT));
      const chosen = clusters[index];
      const name = chosen === undefined ? '' : chosen.name || (headers.get(chosen.clusterHeader) ?? '');
      evaluation.note('cluster', name, `chosen by weight, ${index + 1} of ${clusters.length}`);
      return { name, index };
    }
    default:
      evaluation.notEvaluated('cluster', specifier.case ?? '', 'how the cluster is chosen');
      return undefined;
  }
}
