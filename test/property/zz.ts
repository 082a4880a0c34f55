import fc from 'fast-check';
import { anyCommand, LivingMesh } from './mesh-history.ts';
let n=0, alters=0, altered=0, live=0, settles=0, proxies=0, objs=0;
const kinds = new Map<string, number>();
for (const h of fc.sample(fc.array(anyCommand, { minLength: 10, maxLength: 150, size: 'max' }), {numRuns:200, seed:5})) {
  const m = new LivingMesh(); n += h.length;
  for (const c of h) { const before = c.do==='alter' ? [...m.objects.values()].map(o=>o.hash).join() : ''; m.run(c); if (c.do==='alter') { alters++; if ([...m.objects.values()].map(o=>o.hash).join() !== before) { altered++; kinds.set(c.manifest.kind,(kinds.get(c.manifest.kind)??0)+1); } } if (c.do==='settle'||c.do==='step') settles++; }
  m.fixture.settle(); proxies += m.proxies.size; objs += m.objects.size; }
console.log({n: n/200, alters: alters/200, altered: altered/200, settles: settles/200, proxies: proxies/200, objs: objs/200}, kinds);
