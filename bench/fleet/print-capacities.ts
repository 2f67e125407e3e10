/**
 * `node scripts/run.mjs bench/fleet/print-capacities.ts [case …]`: the capacities of the simulated fleet, found anew, beside
 * those that its workloads name. The mix of `fleet-overload` is the case `overload`. Takes minutes a case.
 */
import { findCapacity } from "./find-capacity.ts";
import { readLoads } from "./load-case.ts";
import { findMixCapacity, readOverload } from "./overload.ts";
import { parameterOf } from "../harness/workload.ts";
import { readServerSettings } from "./settings.ts";

const wanted = process.argv.slice(2);
const isWanted = (name: string): boolean => wanted.length === 0 || wanted.includes(name);
const settings = await readServerSettings();

const loads = await readLoads();
for (const load of loads.cases.filter(({ name }) => isWanted(name)))
  tell(load.name, findCapacity(load, loads, settings), load.capacity);
const overload = await readOverload();
if (isWanted("overload"))
  tell("overload", findMixCapacity(overload, settings), parameterOf(overload, "capacity"));

function tell(name: string, found: number, named: number): void {
  console.log(`${name}: ${found.toFixed(1)} requests/s found, ${named} named`);
}
