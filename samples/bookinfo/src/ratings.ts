/**
 * Bookinfo's ratings service: the stars that each reviewer gave to a book, in memory.
 * GET /ratings/:id answers 5 and 4 stars until POST /ratings/:id replaces them. Called by reviews v2 and v3.
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
import { parseProductId } from './product-id.ts';

type Stars = Readonly<Record<string, number>>;

const defaultStars: Stars = { Reviewer1: 5, Reviewer2: 4 };
const maxStoredProducts = 1000;
const maxReviewers = 100;

export function ratingsApp(env: Env): App {
  const starsByProduct = new Map<number, Stars>();
  return {
    name: `ratings-${env['SERVICE_VERSION'] || 'v1'}`,
    ...addressFromEnv(env, 9080),
    routes: [
      { method: 'GET', path: '/health', answer: () => jsonAnswer(200, { status: 'Ratings is healthy' }) },
      { method: 'GET', path: '/ratings/:id', answer: (_, id) => readRatings(starsByProduct, id) },
      {
        method: 'POST',
        path: '/ratings/:id',
        answer: (request, id) => storeRatings(starsByProduct, request, id),
      },
    ],
  };
}

function readRatings(starsByProduct: ReadonlyMap<number, Stars>, idText: string): Answer {
  const id = parseProductId(idText);
  if (id === undefined) return jsonAnswer(400, { error: 'please provide numeric product ID' });
  return jsonAnswer(200, { id, ratings: starsByProduct.get(id) ?? defaultStars });
}

function storeRatings(starsByProduct: Map<number, Stars>, request: AppRequest, idText: string): Answer {
  const id = parseProductId(idText);
  if (id === undefined) return jsonAnswer(400, { error: 'please provide numeric product ID' });
  const stars = parseStars(request.body.toString());
  if (stars === undefined) return jsonAnswer(400, { error: 'please provide valid ratings JSON' });
  if (!starsByProduct.has(id) && starsByProduct.size >= maxStoredProducts) {
    return jsonAnswer(507, { error: 'too many rated products' });
  }
  starsByProduct.set(id, stars);
  return readRatings(starsByProduct, idText);
}

/** Accepts a JSON object from reviewer to number of stars (0 to 5). */
function parseStars(text: string): Stars | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value);
  const valid = entries.every(([, stars]) => Number.isInteger(stars) && stars >= 0 && stars <= 5);
  return valid && entries.length <= maxReviewers ? (value as Stars) : undefined;
}

if (import.meta.main) await runApp(ratingsApp(process.env));
