/** What `spillway check` finds wrong with pools of HTTP servers without asking them: files that they need. */
import { isHttpPool, type HttpPoolOptions, type PoolOptions } from "../contracts/options.ts";
import { readEndpointsFile } from "../endpoints/endpoints-file.ts";
import { readPoolAccess } from "../endpoints/server-access.ts";
import { toSentence } from "./describe-error.ts";

/** Sentences; empty where all is well. */
export async function findPoolProblems(pools: readonly PoolOptions[]): Promise<string[]> {
  const found = await Promise.all(pools.filter(isHttpPool).map(problemsOf));
  return found.flat();
}

async function problemsOf(pool: HttpPoolOptions): Promise<string[]> {
  const problems: string[] = [];
  try {
    readPoolAccess(pool);
  } catch (error) {
    problems.push(toSentence(error));
  }
  if (pool.endpointsFile === undefined) return problems;
  const read = await readEndpointsFile(pool.endpointsFile, undefined);
  if (typeof read === "string") problems.push(`Pool ${pool.name}: ${pool.endpointsFile}: ${read}`);
  return problems;
}
