/** Envoy's header mutation filter, on requests. Source: envoy source/common/http/header_mutation.cc. */
import type { HeaderMutation } from '#proto/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.ts';
import { matchesString } from '#simulation/match/string.ts';
import { addHeader } from './header-operations.ts';
import type { RequestState } from './request-state.ts';

export function runHeaderMutation({ headers }: RequestState, config: HeaderMutation): void {
  for (const { action } of config.mutations?.requestMutations ?? []) {
    switch (action.case) {
      case 'remove':
        headers.remove(action.value);
        break;
      case 'append':
        addHeader(headers, action.value);
        break;
      case 'removeOnMatch': {
        const { keyMatcher } = action.value;
        headers.removeWhere((name) => keyMatcher !== undefined && matchesString(keyMatcher, name));
        break;
      }
      default:
    }
  }
}
