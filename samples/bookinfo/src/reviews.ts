/**
 * Bookinfo's reviews service. v1 shows no stars, v2 black ones, v3 red ones; v2 and v3 ask ratings for them.
 * v2 waits 10 s for ratings although the product page waits 3 s for reviews: the mistake that the fault injection task
 * brings to light. v3 waits 2.5 s: the mistake mended.
 */
import {
  addressFromEnv,
  type Answer,
  type App,
  type AppRequest,
  type Env,
  jsonAnswer,
  numberFromEnv,
  runApp,
} from '../../http-app.ts';
import { parseProductId } from './product-id.ts';
import { fetchJson, forwardedEndUser, forwardedHeaders, serviceUrl } from './upstream.ts';

interface ReviewsSettings {
  readonly podName: string;
  readonly clusterName: string;
  readonly ratingsEnabled: boolean;
  readonly starColor: string;
  readonly ratingsUrl: string;
  readonly ratingsTimeoutMs: number;
}

type Rating = { readonly stars: number; readonly color: string } | { readonly error: string };

const texts = [
  {
    reviewer: 'Reviewer1',
    text: 'Two sets of twins, one city, no rest: the funniest evening I had all year.',
  },
  { reviewer: 'Reviewer2', text: 'Light, quick and silly. The later plays go deeper, but few are as merry.' },
];

export function reviewsApp(env: Env): App {
  const version = env['SERVICE_VERSION'] || 'v1';
  const settings = reviewsSettings(env, version);
  return {
    name: `reviews-${version}`,
    ...addressFromEnv(env, 9080),
    routes: [
      { method: 'GET', path: '/health', answer: () => jsonAnswer(200, { status: 'Reviews is healthy' }) },
      { method: 'GET', path: '/reviews/:id', answer: (request, id) => answerReviews(settings, request, id) },
    ],
  };
}

/** ENABLE_RATINGS and STAR_COLOR decide; SERVICE_VERSION gives their defaults. */
function reviewsSettings(env: Env, version: string): ReviewsSettings {
  const starColor = env['STAR_COLOR'] || (version === 'v3' ? 'red' : 'black');
  return {
    podName: env['HOSTNAME'] || 'null',
    clusterName: env['CLUSTER_NAME'] || 'null',
    ratingsEnabled: (env['ENABLE_RATINGS'] || String(version !== 'v1')) === 'true',
    starColor,
    ratingsUrl: serviceUrl(env, 'ratings'),
    ratingsTimeoutMs: numberFromEnv(
      env,
      'RATINGS_TIMEOUT_MS',
      starColor === 'black' ? 10_000 : 2500,
      600_000,
    ),
  };
}

async function answerReviews(
  settings: ReviewsSettings,
  request: AppRequest,
  idText: string,
): Promise<Answer> {
  const id = parseProductId(idText);
  if (id === undefined) return jsonAnswer(404, { error: 'not found' });
  const rate = settings.ratingsEnabled ? await fetchRatings(settings, request, id) : undefined;
  return jsonAnswer(200, {
    id: String(id),
    podname: settings.podName,
    clustername: settings.clusterName,
    reviews: texts.map((review) => (rate ? { ...review, rating: rate(review.reviewer) } : review)),
  });
}

/** Asks ratings once and answers for each reviewer; what is missing or no number reads as unavailable. */
async function fetchRatings(
  settings: ReviewsSettings,
  request: AppRequest,
  id: number,
): Promise<(reviewer: string) => Rating> {
  const headers = { ...forwardedHeaders(request.headers), ...forwardedEndUser(request.headers) };
  const url = `${settings.ratingsUrl}/${id}`;
  const { body } = await fetchJson(url, headers, settings.ratingsTimeoutMs, request.signal);
  const stars = (body as { ratings?: Record<string, unknown> } | null | undefined)?.ratings;
  return (reviewer) => {
    const count = stars?.[reviewer];
    return typeof count === 'number' && Number.isInteger(count)
      ? { stars: count, color: settings.starColor }
      : { error: 'Ratings service is currently unavailable' };
  };
}

if (import.meta.main) await runApp(reviewsApp(process.env));
