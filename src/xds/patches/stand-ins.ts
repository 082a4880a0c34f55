/**
 * Places of filters that only Istio's own Envoy has, and that patches are often put beside: they are where those filters
 * stand in Istio's lists, beside what stands in for them here.
 * Source: istio pilot/pkg/networking/core/listener_builder.go, order of filters.
 */

/** Filters that tell who calls come first in Istio's lists, and here. */
const PEER_FILTERS = 'lateen.peer';
const ALPN_FILTER = 'lateen.alpn';

/** The place before or behind Istio's filter of that name, as an index to insert at; undefined for other names. */
export function placeBeside(
  name: string,
  side: 'before' | 'behind',
  filters: readonly { readonly name: string }[],
): number | undefined {
  switch (name) {
    case 'istio.metadata_exchange': {
      const others = filters.findIndex((filter) => !filter.name.startsWith(PEER_FILTERS));
      return side === 'before' ? 0 : Math.max(others, 0);
    }
    case 'istio.alpn': {
      const at = filters.findIndex((filter) => filter.name === ALPN_FILTER);
      return at < 0 ? undefined : at + (side === 'before' ? 0 : 1);
    }
    case 'istio.stats':
      // Before the router, or the TCP proxy.
      return Math.max(filters.length - 1, 0);
    default:
      return undefined;
  }
}
