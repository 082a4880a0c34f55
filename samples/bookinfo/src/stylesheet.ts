/** The look of the Bookinfo pages. Inline, because the sample's routes let no path for static files be needed. */
export const stylesheet = `
  :root { --ink: #1f2a37; --soft: #5b6776; --line: #e2e6eb; --paper: #fff; --accent: #2f5fd0; --bad: #b3261e; }
  * { box-sizing: border-box; }
  body { margin: 0; background: #f4f6f9; color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
  a { color: var(--accent); }
  header { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; justify-content: space-between;
    padding: .75rem max(1rem, calc(50vw - 26rem)); background: var(--ink); color: #fff; }
  header a { color: #fff; }
  .brand { font-weight: 650; text-decoration: none; }
  .session { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; font-size: .875rem; }
  .session a { margin-left: .5rem; }
  input, button { padding: .35rem .7rem; border: 1px solid transparent; border-radius: .4rem; font: inherit; }
  input { width: 9.5rem; }
  button { background: var(--accent); color: #fff; cursor: pointer; }
  main { max-width: 52rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
  h1 { margin: 0; font-size: 2.25rem; line-height: 1.15; letter-spacing: -.02em; }
  h2 { margin: 0 0 1rem; font-size: 1.125rem; }
  .summary { max-width: 40rem; color: var(--soft); }
  .card { margin-top: 1.25rem; padding: 1.25rem 1.5rem; background: var(--paper); border: 1px solid var(--line);
    border-radius: .75rem; overflow-wrap: anywhere; }
  ul.card { padding-left: 2.5rem; }
  .failed { border-left: 4px solid var(--bad); }
  .failed h2, .problem { color: var(--bad); }
  .failed p { margin: 0; }
  dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 1rem; margin: 0; }
  dt { color: var(--soft); font-size: .8rem; }
  dd { margin: 0; font-weight: 550; }
  .served { margin: -.75rem 0 1rem; color: var(--soft); font-size: .875rem; }
  .reviews { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 1rem; }
  article { padding: 1rem; border: 1px solid var(--line); border-radius: .6rem; }
  .stars { margin: 0 0 .5rem; font-size: 1.3rem; line-height: 1; letter-spacing: .12em; }
  .problem { margin: 0 0 .5rem; font-size: .9rem; }
  blockquote { margin: 0; }
  .reviewer { margin: .6rem 0 0; color: var(--soft); font-size: .875rem; }
`;
