/**
 * The product page as HTML: title and summary, details, reviews with stars, who served the reviews, sign-in.
 * What details and reviews answered is outside input: read field by field, bounded, escaped by `html`.
 */
import { Html, html } from './html.ts';
import { stylesheet } from './stylesheet.ts';
import type { UpstreamAnswer } from './upstream.ts';

export interface Product {
  readonly id: number;
  readonly title: string;
  /** Markup of our own, shown as it stands. */
  readonly descriptionHtml: string;
}

type Fields = Readonly<Record<string, unknown>>;

const maxReviews = 50;
const maxStars = 5;
const detailLabels = new Map([
  ['author', 'Author'],
  ['year', 'Year'],
  ['type', 'Type'],
  ['pages', 'Pages'],
  ['publisher', 'Publisher'],
  ['language', 'Language'],
  ['ISBN-10', 'ISBN-10'],
  ['ISBN-13', 'ISBN-13'],
]);

/** Renders /productpage. */
export function productPage(
  product: Product,
  user: string | undefined,
  details: UpstreamAnswer,
  reviews: UpstreamAnswer,
): string {
  return htmlDocument(html`
    <header>
      <a class="brand" href="productpage">Bookinfo Sample</a>
      ${user === undefined ? signInForm : signedIn(user)}
    </header>
    <main>
      <h1>${product.title}</h1>
      <p class="summary">${new Html(product.descriptionHtml)}</p>
      ${detailsSection(details)}
      ${reviewsSection(reviews)}
    </main>`);
}

/** Renders the start page: what calls what, and the way to the product page. */
export function indexPage(detailsUrl: string, reviewsUrl: string, ratingsUrl: string): string {
  return htmlDocument(html`
    <header><a class="brand" href="productpage">Bookinfo Sample</a></header>
    <main>
      <h1>Four services, one page</h1>
      <p class="summary">Open the <a href="productpage">product page</a>. To make it, productpage calls:</p>
      <ul class="card">
        <li><code>${detailsUrl}</code></li>
        <li><code>${reviewsUrl}</code>, whose versions v2 and v3 call <code>${ratingsUrl}</code></li>
      </ul>
    </main>`);
}

function htmlDocument(body: Html): string {
  return html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Simple Bookstore App</title>
    <link rel="icon" href="data:,">
    <style>${new Html(stylesheet)}</style>
  </head>
  <body>${body}
  </body>
</html>
`.text;
}

const signInForm = html`<form class="session" method="post" action="login">
        <input name="username" placeholder="User name" aria-label="User name" autocomplete="off" required maxlength="64">
        <input name="passwd" type="password" placeholder="Password (any)" aria-label="Password" autocomplete="off">
        <button>Sign in</button>
      </form>`;

function signedIn(user: string): Html {
  return html`<div class="session">
        <span>Signed in as <b>${user}</b></span>
        <a href="logout">Sign out</a>
      </div>`;
}

function detailsSection(details: UpstreamAnswer): Html {
  if (details.status !== 200) {
    return errorCard(
      'Error fetching product details!',
      'Sorry, product details are currently unavailable for this book.',
    );
  }
  const fields = asFields(details.body);
  const rows = [...detailLabels].map(
    ([name, label]) => html`
          <div><dt>${label}</dt><dd>${textField(fields, name)}</dd></div>`,
  );
  return html`<section class="card">
        <h2>Book Details</h2>
        <dl>${rows}
        </dl>
      </section>`;
}

function reviewsSection(reviews: UpstreamAnswer): Html {
  if (reviews.status !== 200) {
    return errorCard(
      'Error fetching product reviews!',
      'Sorry, product reviews are currently unavailable for this book.',
    );
  }
  const fields = asFields(reviews.body);
  const list: readonly unknown[] = Array.isArray(fields['reviews']) ? fields['reviews'] : [];
  const cluster = textField(fields, 'clustername');
  return html`<section class="card">
        <h2>Book Reviews</h2>
        <p class="served">Reviews served by: <b>${textField(fields, 'podname')}</b>
          ${cluster === '' || cluster === 'null' ? '' : html`on cluster <b>${cluster}</b>`}</p>
        <div class="reviews">${list.slice(0, maxReviews).map((review) => reviewArticle(asFields(review)))}
        </div>
      </section>`;
}

function reviewArticle(review: Fields): Html {
  return html`
          <article>
            ${review['rating'] === undefined ? '' : ratingLine(asFields(review['rating']))}
            <blockquote>${textField(review, 'text')}</blockquote>
            <p class="reviewer">${textField(review, 'reviewer')}</p>
          </article>`;
}

function ratingLine(rating: Fields): Html {
  const stars = rating['stars'];
  if (typeof stars !== 'number') return html`<p class="problem">${textField(rating, 'error')}</p>`;
  const full = Math.min(Math.max(Math.trunc(stars), 0), maxStars);
  const color = textField(rating, 'color');
  // The colour lands in CSS, where escaping for HTML is no protection: only plain colour names pass.
  const style = /^[a-z]{1,20}$/i.test(color) ? `color: ${color}` : '';
  return html`<p class="stars" style="${style}" title="${full} of ${maxStars} stars, ${color}">${'★'.repeat(full)}${'☆'.repeat(maxStars - full)}</p>`;
}

function errorCard(title: string, text: string): Html {
  return html`<section class="card failed">
        <h2>${title}</h2>
        <p>${text}</p>
      </section>`;
}

function asFields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function textField(fields: Fields, name: string): string {
  const value = fields[name];
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
