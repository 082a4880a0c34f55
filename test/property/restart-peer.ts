/** Another process for restart.test.ts: lives through the history on its standard input, and prints what proxies have. */
import { text } from 'node:stream/consumers';
import { bytesOf } from '../support/mesh-fixture.ts';
import { type Command, LivingMesh } from './mesh-history.ts';

const mesh = new LivingMesh();
for (const command of JSON.parse(await text(process.stdin)) as readonly Command[]) mesh.run(command);
mesh.fixture.settle();
const snapshots = [...mesh.fixture.mesh.graph.snapshots.all()];
process.stdout.write(JSON.stringify(snapshots.map(([id, snapshot]) => [id, bytesOf(snapshot)])));
