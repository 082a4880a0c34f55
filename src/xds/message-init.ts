/**
 * Types for pieces of messages that builders put together before one `create`: each piece is plain data until then, and
 * the compiler checks it against the message's schema.
 */
import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';

/** The plain-object form that `create` takes, without the finished message that it would take too. */
export type InitOf<D extends DescMessage> = Exclude<MessageInitShape<D>, MessageShape<D>>;
