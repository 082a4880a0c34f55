/**
 * Facts of the process under the names that dashboards for Istio's control plane read: `process_*`, and of Go's runtime those
 * that have a counterpart here. Read at each scrape.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock } from '#base/clock.ts';
import type { MetricRegistry } from './prometheus-text.ts';

/** Registers them; disposing ends the measuring of the event loop. */
export function registerProcessMetrics(registry: MetricRegistry, clock: Clock): Disposable {
  const gauge = (name: string, help: string) => registry.gauge({ name, help });
  const cpu = registry.counter({
    name: 'process_cpu_seconds_total',
    help: 'Total user and system CPU time spent in seconds.',
  });
  const resident = gauge('process_resident_memory_bytes', 'Resident memory size in bytes.');
  const start = gauge('process_start_time_seconds', 'Start time of the process since unix epoch in seconds.');
  const allocated = gauge('go_memstats_alloc_bytes', 'Bytes of heap in use, here of V8 and of buffers.');
  const heap = gauge('go_memstats_heap_inuse_bytes', 'Bytes of heap in use, here of V8.');
  const system = gauge('go_memstats_heap_sys_bytes', 'Bytes of heap got from the system, here of V8.');
  const tasks = gauge('go_goroutines', 'What keeps the process busy, here timers, sockets and requests.');
  const delay = registry.gauge({
    name: 'nodejs_eventloop_lag_seconds',
    help: 'Event loop delay since the last scrape.',
    labels: ['quantile'],
  });
  start.set(clock.nowMs() / 1_000 - process.uptime());
  const monitor = monitorEventLoopDelay({ resolution: 20 });
  monitor.enable();
  let countedSeconds = 0;
  registry.onCollect(() => {
    const usage = process.cpuUsage();
    const memory = process.memoryUsage();
    const seconds = (usage.user + usage.system) / 1e6;
    cpu.increment({}, seconds - countedSeconds);
    countedSeconds = seconds;
    resident.set(memory.rss);
    allocated.set(memory.heapUsed + memory.external);
    heap.set(memory.heapUsed);
    system.set(memory.heapTotal);
    tasks.set(process.getActiveResourcesInfo().length);
    for (const percent of [50, 99])
      delay.set(monitor.percentile(percent) / 1e9, { quantile: String(percent / 100) });
    monitor.reset();
  });
  return { [Symbol.dispose]: () => void monitor.disable() };
}
