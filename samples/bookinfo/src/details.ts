/**
 * Bookinfo's details service: facts about a book, built in, or (v2, for the egress tasks) asked of an external service.
 * ENABLE_EXTERNAL_BOOK_SERVICE=true turns the external service on; DO_NOT_ENCRYPT=true calls it by plain HTTP, so that
 * the sidecar sees the request and can originate TLS.
 */
import {
  addressFromEnv,
  type Answer,
  type App,
  type AppRequest,
  type Env,
  jsonAnswer,
  runApp,
} from '../../http-app.ts';
import { fetchExternalBook } from './external-book.ts';
import { parseProductId } from './product-id.ts';

export function detailsApp(env: Env): App {
  const external = env['ENABLE_EXTERNAL_BOOK_SERVICE'] === 'true';
  const scheme = env['DO_NOT_ENCRYPT'] === 'true' ? 'http' : 'https';
  return {
    name: `details-${env['SERVICE_VERSION'] || 'v1'}`,
    ...addressFromEnv(env, 9080),
    routes: [
      { method: 'GET', path: '/health', answer: () => jsonAnswer(200, { status: 'Details is healthy' }) },
      {
        method: 'GET',
        path: '/details/:id',
        answer: (request, id) => answerDetails(request, id, external ? scheme : undefined),
      },
    ],
  };
}

async function answerDetails(
  request: AppRequest,
  idText: string,
  externalScheme: 'http' | 'https' | undefined,
): Promise<Answer> {
  const id = parseProductId(idText);
  if (id === undefined) return jsonAnswer(400, { error: 'please provide numeric product id' });
  if (externalScheme === undefined) return jsonAnswer(200, builtInBook(id));
  const book = await fetchExternalBook(id, externalScheme, request);
  return book === undefined
    ? jsonAnswer(502, { error: 'external book service is unavailable' })
    : jsonAnswer(200, book);
}

function builtInBook(id: number): object {
  return {
    id,
    author: 'William Shakespeare',
    year: 1595,
    type: 'paperback',
    pages: 200,
    publisher: 'PublisherA',
    language: 'English',
    'ISBN-10': '1234567890',
    'ISBN-13': '123-1234567890',
  };
}

if (import.meta.main) await runApp(detailsApp(process.env));
