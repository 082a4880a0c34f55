/**
 * Headers that routes add and remove. Source: envoy source/common/router/header_parser.cc. Values with operators
 * (`%ENVIRONMENT(…)%`) stand in the result as they are written: what they print is known only while Envoy runs.
 */
import {
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction as AppendAction,
} from '#proto/envoy/config/core/v3/base_pb.ts';
import type { RequestHeaders } from '#simulation/headers.ts';

/** What each of cluster, route, virtual host and table may say. */
export interface HeaderOperations {
  readonly requestHeadersToAdd: readonly HeaderValueOption[];
  readonly requestHeadersToRemove: readonly string[];
}

/** Removes first, then adds. */
export function applyHeaderOperations(headers: RequestHeaders, operations: HeaderOperations): void {
  for (const name of operations.requestHeadersToRemove) headers.remove(name);
  for (const option of operations.requestHeadersToAdd) addHeader(headers, option);
}

/** Adds one header by its action. */
export function addHeader(headers: RequestHeaders, option: HeaderValueOption): void {
  const name = option.header?.key ?? '';
  const value = formatted(option.header?.value ?? '');
  if (value === '' && !option.keepEmptyValue) return;
  const has = headers.get(name) !== undefined;
  switch (actionOf(option)) {
    case AppendAction.APPEND_IF_EXISTS_OR_ADD:
      headers.append(name, value);
      break;
    case AppendAction.ADD_IF_ABSENT:
      if (!has) headers.append(name, value);
      break;
    case AppendAction.OVERWRITE_IF_EXISTS_OR_ADD:
      headers.set(name, value);
      break;
    default:
      if (has) headers.set(name, value);
  }
}

/** The older field wins where it is set. */
function actionOf({ append, appendAction }: HeaderValueOption): AppendAction {
  if (append === undefined) return appendAction;
  return append ? AppendAction.APPEND_IF_EXISTS_OR_ADD : AppendAction.OVERWRITE_IF_EXISTS_OR_ADD;
}

function formatted(value: string): string {
  return value.replaceAll('%%', '').includes('%') ? value : value.replaceAll('%%', '%');
}
