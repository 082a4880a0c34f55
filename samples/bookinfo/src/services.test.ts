/** details, ratings and reviews by themselves: paths, JSON shapes, error texts, stars by version. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { jsonAnswer } from '../../http-app.ts';
import {
  addressEnv,
  deadUrl,
  getJson,
  getText,
  standIn,
  startBookinfo,
  startOnLoopback,
} from './bookinfo-fixture.ts';
import { parseVolumes } from './external-book.ts';
import { reviewsApp } from './reviews.ts';

const unavailable = { error: 'Ratings service is currently unavailable' };

test('every service tells that it is healthy', async (t) => {
  const bookinfo = await startBookinfo(t);
  assert.deepEqual(
    {
      productpage: await getText(`${bookinfo.productpage}/health`),
      details: await getJson(`${bookinfo.details}/health`),
      reviews: await getJson(`${bookinfo.reviews}/health`),
      ratings: await getJson(`${bookinfo.ratings}/health`),
    },
    {
      productpage: 'Product page is healthy',
      details: { status: 200, body: { status: 'Details is healthy' } },
      reviews: { status: 200, body: { status: 'Reviews is healthy' } },
      ratings: { status: 200, body: { status: 'Ratings is healthy' } },
    },
  );
});

test('details answers with the facts about the book', async (t) => {
  const { details } = await startBookinfo(t);
  assert.deepEqual(await getJson(`${details}/details/0`), {
    status: 200,
    body: {
      id: 0,
      author: 'William Shakespeare',
      year: 1595,
      type: 'paperback',
      pages: 200,
      publisher: 'PublisherA',
      language: 'English',
      'ISBN-10': '1234567890',
      'ISBN-13': '123-1234567890',
    },
  });
});

test('a product number that is none is refused', async (t) => {
  const { details, ratings, reviews } = await startBookinfo(t);
  const cases = [
    { url: `${details}/details/x`, status: 400, error: 'please provide numeric product id' },
    { url: `${ratings}/ratings/x`, status: 400, error: 'please provide numeric product ID' },
    { url: `${ratings}/ratings/`, status: 400, error: 'please provide numeric product ID' },
    { url: `${reviews}/reviews/x`, status: 404, error: 'not found' },
  ];
  for (const { url, status, error } of cases) {
    assert.deepEqual(await getJson(url), { status, body: { error } }, url);
  }
});

test('ratings keeps what was posted, and only ratings', async (t) => {
  const { ratings } = await startBookinfo(t);
  const post = async (id: string, body: string): Promise<unknown> => {
    const response = await fetch(`${ratings}/ratings/${id}`, { method: 'POST', body });
    return [response.status, await response.json()];
  };
  const refused = [400, { error: 'please provide valid ratings JSON' }];
  assert.deepEqual(
    {
      numbers: await post('7', '{"Reviewer1": 1, "Reviewer2": 3}'),
      notJson: await post('7', '{'),
      notAnObject: await post('7', '[5]'),
      tooManyStars: await post('7', '{"Reviewer1": 6}'),
      notANumber: await post('7', '{"Reviewer1": "<b>"}'),
      readBack: await getJson(`${ratings}/ratings/7`),
      untouched: await getJson(`${ratings}/ratings/8`),
    },
    {
      numbers: [200, { id: 7, ratings: { Reviewer1: 1, Reviewer2: 3 } }],
      notJson: refused,
      notAnObject: refused,
      tooManyStars: refused,
      notANumber: refused,
      readBack: { status: 200, body: { id: 7, ratings: { Reviewer1: 1, Reviewer2: 3 } } },
      untouched: { status: 200, body: { id: 8, ratings: { Reviewer1: 5, Reviewer2: 4 } } },
    },
  );
});

test('the version of reviews decides about stars and their colour', async (t) => {
  const none = [undefined, undefined];
  const black = [
    { stars: 5, color: 'black' },
    { stars: 4, color: 'black' },
  ];
  const red = [
    { stars: 5, color: 'red' },
    { stars: 4, color: 'red' },
  ];
  const cases = [
    { env: {}, ratings: none },
    { env: { SERVICE_VERSION: 'v1' }, ratings: none },
    { env: { SERVICE_VERSION: 'v2' }, ratings: black },
    { env: { SERVICE_VERSION: 'v3' }, ratings: red },
    { env: { ENABLE_RATINGS: 'true' }, ratings: black },
    { env: { ENABLE_RATINGS: 'true', STAR_COLOR: 'red' }, ratings: red },
    { env: { SERVICE_VERSION: 'v3', ENABLE_RATINGS: 'false' }, ratings: none },
  ];
  for (const { env, ratings } of cases) {
    const { reviews } = await startBookinfo(t, { ...env, HOSTNAME: 'reviews-pod', CLUSTER_NAME: 'east' });
    const { body } = await getJson(`${reviews}/reviews/0`);
    const { reviews: list, ...rest } = body as { reviews: { reviewer: string; rating?: unknown }[] };
    assert.deepEqual(rest, { id: '0', podname: 'reviews-pod', clustername: 'east' });
    assert.deepEqual(
      list.map(({ reviewer, rating }) => ({ reviewer, rating })),
      ['Reviewer1', 'Reviewer2'].map((reviewer, index) => ({ reviewer, rating: ratings[index] })),
      JSON.stringify(env),
    );
  }
});

test('reviews says so when ratings gives no number', async (t) => {
  const answers = {
    failing: standIn(() => jsonAnswer(500, {})),
    notJson: standIn(() => ({ status: 200, headers: {}, body: '<html>' })),
    empty: standIn(() => jsonAnswer(200, null)),
    noNumber: standIn(() => jsonAnswer(200, { ratings: { Reviewer1: '5' } })),
    late: standIn(({ signal }) => once(signal, 'abort').then(() => jsonAnswer(200, {}))),
  };
  const urls = new Map([['dead', await deadUrl()]]);
  for (const [name, app] of Object.entries(answers)) urls.set(name, await startOnLoopback(t, app));
  for (const [name, url] of urls) {
    const env = { SERVICE_VERSION: 'v2', RATINGS_TIMEOUT_MS: '100', ...addressEnv('ratings', url) };
    const reviews = await startOnLoopback(t, reviewsApp(env));
    const { status, body } = await getJson(`${reviews}/reviews/0`);
    const ratings = (body as { reviews: { rating: unknown }[] }).reviews.map((review) => review.rating);
    assert.deepEqual({ status, ratings }, { status: 200, ratings: [unavailable, unavailable] }, name);
  }
});

test('details v2 takes the facts out of the catalogue answer, or none', () => {
  const volumeInfo = {
    authors: ['William Shakespeare'],
    publishedDate: '2002',
    publisher: 'Dover',
    pageCount: 64,
    printType: 'BOOK',
    language: 'en',
    industryIdentifiers: [
      { type: 'ISBN_13', identifier: '9780486424613' },
      { type: 'ISBN_10', identifier: '0486424618' },
    ],
  };
  const book = {
    id: 0,
    author: 'William Shakespeare',
    year: '2002',
    type: 'paperback',
    pages: 64,
    publisher: 'Dover',
    language: 'English',
    'ISBN-10': '0486424618',
    'ISBN-13': '9780486424613',
  };
  const cases = [
    { body: { items: [{ volumeInfo }] }, book },
    {
      body: { items: [{ volumeInfo: { ...volumeInfo, printType: 'MAP', language: 'la' } }] },
      book: { ...book, type: 'unknown', language: 'unknown' },
    },
    { body: { items: [{ volumeInfo: { ...volumeInfo, authors: [] } }] }, book: undefined },
    { body: { items: [{}] }, book: undefined },
    { body: { items: [] }, book: undefined },
    { body: null, book: undefined },
    { body: undefined, book: undefined },
  ];
  for (const { body, book: expected } of cases) assert.deepEqual(parseVolumes(0, body), expected);
});
