/**
 * For tests: Bookinfo on loopback ports, wired together, and recording stand-ins for its services.
 * All that is started goes into the test's own clean-up. App logs are silenced for the test process.
 */
import { mock, type TestContext } from 'node:test';
import { type Answer, type App, type AppRequest, type Env, startApp } from '../../http-app.ts';
import { detailsApp } from './details.ts';
import { productpageApp } from './productpage.ts';
import { ratingsApp } from './ratings.ts';
import { reviewsApp } from './reviews.ts';

export interface Bookinfo {
  readonly productpage: string;
  readonly details: string;
  readonly reviews: string;
  readonly ratings: string;
}

export type ServiceName = 'details' | 'reviews' | 'ratings';

mock.method(console, 'log', () => {});
mock.method(console, 'error', () => {});

/** Starts an app on a free port and returns its URL. */
export async function startOnLoopback(t: TestContext, app: App): Promise<string> {
  const running = await startApp({ ...app, port: 0 });
  t.after(() => running.stop());
  return running.url;
}

/** Starts all four; a service given in `standIns` is called at that URL instead. */
export async function startBookinfo(
  t: TestContext,
  env: Env = {},
  standIns: Partial<Record<ServiceName, string>> = {},
): Promise<Bookinfo> {
  const ratings = standIns.ratings ?? (await startOnLoopback(t, ratingsApp({})));
  const toRatings = { ...env, ...addressEnv('ratings', ratings) };
  const reviews = standIns.reviews ?? (await startOnLoopback(t, reviewsApp(toRatings)));
  const details = standIns.details ?? (await startOnLoopback(t, detailsApp({})));
  const toAll = { ...toRatings, ...addressEnv('reviews', reviews), ...addressEnv('details', details) };
  const productpage = await startOnLoopback(t, productpageApp(toAll));
  return { productpage, details, reviews, ratings };
}

/** The variables that point an app at a service. */
export function addressEnv(name: ServiceName, url: string): Env {
  const { hostname, port } = new URL(url);
  return { [`${name.toUpperCase()}_HOSTNAME`]: hostname, [`${name.toUpperCase()}_SERVICE_PORT`]: port };
}

/** An app that answers everything the same way, and shows each request to `see`. */
export function standIn(answer: (request: AppRequest) => Answer | Promise<Answer>): App {
  return { name: 'stand-in', host: '127.0.0.1', port: 0, routes: [{ method: '*', path: '/*', answer }] };
}

/** The URL of a port that nobody listens on. */
export async function deadUrl(): Promise<string> {
  const running = await startApp(standIn(() => ({ status: 200, headers: {}, body: '' })));
  await running.stop();
  return running.url;
}

/** Signs in and returns the Cookie header to send from then on. */
export async function signIn(productpage: string, username: string): Promise<string> {
  const body = new URLSearchParams({ username, passwd: 'any' });
  const response = await fetch(`${productpage}/login`, { method: 'POST', body, redirect: 'manual' });
  return response.headers.get('set-cookie')?.split(';')[0] ?? '';
}

export async function getText(url: string, headers: Record<string, string> = {}): Promise<string> {
  return (await fetch(url, { headers })).text();
}

export async function getJson(url: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(url);
  return { status: response.status, body: await response.json() };
}
