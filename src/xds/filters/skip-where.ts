/**
 * An HTTP filter that is passed by for some requests: those for which a CEL expression holds, evaluated once per request when its
 * headers are there and its route is known. Costs one evaluation per request.
 * Source: Envoy extensions.common.matching.v3.ExtensionWithMatcher (filter envoy.filters.http.match_delegate).
 */
import { create } from '@bufbuild/protobuf';
import { SkipFilterSchema } from '#proto/envoy/extensions/filters/common/matcher/action/v3/skip_action_pb.ts';
import { ExtensionWithMatcherSchema } from '#proto/envoy/extensions/common/matching/v3/extension_matcher_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { CelMatcherSchema } from '#proto/xds/type/matcher/v3/cel_pb.ts';
import { HttpAttributesCelMatchInputSchema } from '#proto/xds/type/matcher/v3/http_inputs_pb.ts';
import { packAny } from '#xds/encode.ts';
import { type CelNode, parsedCel } from './cel-expression.ts';
import { httpFilter } from './http-connection-manager.ts';

/** The filter under its own name, passed by where `expression` holds. */
export function skippedWhere(filter: HttpFilter, expression: CelNode): HttpFilter {
  if (filter.configType.case !== 'typedConfig') return filter;
  const config = create(ExtensionWithMatcherSchema, {
    extensionConfig: { name: filter.name, typedConfig: filter.configType.value },
    xdsMatcher: {
      matcherType: {
        case: 'matcherList',
        value: {
          matchers: [
            {
              predicate: {
                matchType: {
                  case: 'singlePredicate',
                  value: {
                    input: {
                      name: 'envoy.matching.inputs.cel_data_input',
                      typedConfig: packAny(
                        HttpAttributesCelMatchInputSchema,
                        create(HttpAttributesCelMatchInputSchema),
                      ),
                    },
                    matcher: {
                      case: 'customMatch',
                      value: {
                        name: 'envoy.matching.matchers.cel_matcher',
                        typedConfig: packAny(
                          CelMatcherSchema,
                          create(CelMatcherSchema, { exprMatch: { celExprParsed: parsedCel(expression) } }),
                        ),
                      },
                    },
                  },
                },
              },
              onMatch: {
                onMatch: {
                  case: 'action',
                  value: { name: 'skip', typedConfig: packAny(SkipFilterSchema, create(SkipFilterSchema)) },
                },
              },
            },
          ],
        },
      },
    },
  });
  return httpFilter(filter.name, packAny(ExtensionWithMatcherSchema, config));
}
