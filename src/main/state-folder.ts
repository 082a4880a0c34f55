/** Where roots and verdicts stay from one run of pilot-discovery to the next. */
import { join } from 'node:path';

export function stateFolder(): string {
  return process.env['LATEEN_STATE_DIR'] ?? join(process.env['HOME'] ?? '.', '.local', 'state', 'lateen');
}
