export const ROUTER = { name: 'router', missing: [], cases: () => [] };
