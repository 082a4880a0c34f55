/**
 * Looks one edition of the play up in a public book catalogue, for details v2 and the egress tasks.
 * A fact that is missing from the answer makes the book count as not found.
 */
import type { AppRequest } from '../../http-app.ts';
import { fetchJson, traceHeaders } from './upstream.ts';

/** An edition with Shakespeare as its only author. */
const isbn = '0486424618';
const timeoutMs = 5000;

interface Volume {
  readonly authors?: readonly string[];
  readonly publishedDate?: string;
  readonly publisher?: string;
  readonly pageCount?: number;
  readonly printType?: string;
  readonly language?: string;
  readonly industryIdentifiers?: readonly { readonly type: string; readonly identifier: string }[];
}

/** Fetches the book in the shape that details answers with; undefined when the service can't be reached or its answer doesn't have them. */
export async function fetchExternalBook(
  id: number,
  scheme: 'http' | 'https',
  request: AppRequest,
): Promise<object | undefined> {
  const url = `${scheme}://www.googleapis.com/books/v1/volumes?q=isbn:${isbn}`;
  const { body } = await fetchJson(url, traceHeaders(request.headers), timeoutMs, request.signal);
  return parseVolumes(id, body);
}

/** Takes the first edition out of the catalogue's answer; undefined when one of its facts is missing. */
export function parseVolumes(id: number, body: unknown): object | undefined {
  const volume = (body as { items?: { volumeInfo?: Volume }[] } | null | undefined)?.items?.[0]?.volumeInfo;
  const identifier = (type: string): string | undefined =>
    volume?.industryIdentifiers?.find((entry) => entry.type === type)?.identifier;
  const book = {
    id,
    author: volume?.authors?.[0],
    year: volume?.publishedDate,
    type: volume?.printType === 'BOOK' ? 'paperback' : 'unknown',
    pages: volume?.pageCount,
    publisher: volume?.publisher,
    language: volume?.language === 'en' ? 'English' : 'unknown',
    'ISBN-10': identifier('ISBN_10'),
    'ISBN-13': identifier('ISBN_13'),
  };
  return Object.values(book).includes(undefined) ? undefined : book;
}
