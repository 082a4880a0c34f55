/** Keeps the DNS server's names as the control plane has them. When the stream is lost the names stay until the next one brings them anew. */
import type { Logger } from '#base/logger.ts';
import { WireError } from '#base/proto-wire.ts';
import { decodeNameTable, type DnsNameTable, type NameScope } from './dns-name-table.ts';
import { SingletonFeed } from './singleton-feed.ts';

const NAME_TABLE_TYPE = 'type.googleapis.com/istio.networking.nds.v1.NameTable';

/** Takes the names. */
export interface NameSink {
  update(table: DnsNameTable): void;
}

/** Feeds a sink from the streams that it joins. */
export function openNameFeed(sink: NameSink, scope: NameScope, log: Logger): SingletonFeed {
  return new SingletonFeed(NAME_TABLE_TYPE, (message) => {
    try {
      // A table that went away altogether leaves the last names standing, as in Istio.
      if (message !== undefined) sink.update(decodeNameTable(message, scope));
      return '';
    } catch (cause) {
      if (!(cause instanceof WireError)) throw cause;
      log.warn('a name table could not be read', { error: cause.message });
      return cause.message;
    }
  });
}
