/** How busy this machine is, read when somebody looks. */
import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import type { Clock } from "../../core/clock.ts";

/** One reading. */
export interface MachineReading {
  readonly cpuCores: number;
  /** Of all cores, since the reading before; 0 to 1. */
  readonly cpuShare: number;
  readonly memoryTotalBytes: number;
  readonly memoryUsedBytes: number;
  /** Resident memory of the gateway's process. */
  readonly gatewayBytes: number;
  /** Share of all cores that the gateway's process took, since the reading before. */
  readonly gatewayCpuShare: number;
}

/** Reads. */
export interface MachineMeter {
  read(): MachineReading;
}

/** Between two readings of the processors, ms: whoever asks sooner gets the one before. */
const pauseMs = 1_000;

/** Of this machine. */
export function createMachineMeter(clock: Clock): MachineMeter {
  let at = clock.now();
  let before = ticks();
  let spent = process.cpuUsage();
  let shares = { cpuShare: 0, gatewayCpuShare: 0 };
  function turn(): void {
    const now = clock.now();
    if (now - at < pauseMs) return;
    const next = ticks();
    const total = next.total - before.total;
    const { user, system } = process.cpuUsage(spent);
    shares = {
      cpuShare: total > 0 ? 1 - (next.idle - before.idle) / total : 0,
      gatewayCpuShare: Math.min(1, (user + system) / 1_000 / (now - at) / availableParallelism()),
    };
    at = now;
    before = next;
    spent = process.cpuUsage();
  }
  return {
    read() {
      turn();
      const total = totalmem();
      return {
        cpuCores: availableParallelism(),
        ...shares,
        memoryTotalBytes: total,
        memoryUsedBytes: total - freemem(),
        gatewayBytes: process.memoryUsage.rss(),
      };
    },
  };
}

function ticks(): { readonly idle: number; readonly total: number } {
  let idle = 0;
  let total = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    total += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { idle, total };
}
