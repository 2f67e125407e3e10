/** What one server can be asked for, from what it said of itself and what is configured. Pure. */
import type { HttpPoolOptions } from "../contracts/options.ts";
import type { AttemptTarget, ChatDialect } from "../core/forward.ts";
import { otherName } from "../core/model-name.ts";
import type { Survey } from "./survey.ts";

/** What a server can be asked for. */
export interface ServerModels {
  /** What every target has in common. */
  readonly common: Omit<AttemptTarget, "model">;
  /** Targets by every name that the server answers to, aliases included. */
  readonly targets: ReadonlyMap<string, AttemptTarget>;
}

/** What the pool's servers speak as far as that is configured. Those that are not asked speak OpenAI's where it is not. */
export function spokenDialect({ dialect, passthrough }: HttpPoolOptions): ChatDialect | undefined {
  if (dialect !== "auto") return dialect;
  return passthrough === true ? "openai" : undefined;
}

/** True where requests for whatever model may go to each server of the pool. */
export function takesAnyModel({ passthrough, models }: HttpPoolOptions): boolean {
  return passthrough === true && models.length === 0;
}

/** What the server can be asked for. `survey`: what it said; undefined before it has said anything. */
export function servedBy(pool: HttpPoolOptions, survey: Survey | undefined): ServerModels {
  const dialect = survey?.dialect ?? spokenDialect(pool);
  const targets = new Map<string, AttemptTarget>();
  if (dialect === undefined) return { common: { dialect: "openai", serves: [] }, targets };
  const serves = survey?.serves ?? pool.serves ?? [];
  const common = survey === undefined ? { dialect, serves } : { dialect, serves, make: survey.make };
  for (const model of offeredNames(pool.models, survey, dialect)) targets.set(model, { ...common, model });
  if (dialect === "ollama") addLatest(targets);
  return { common, targets };
}

/**
 * What is both configured and there; all that is there where nothing is configured. What is configured
 * counts as there before the server has answered, and where a server lists nothing.
 */
function offeredNames(
  configured: readonly string[],
  survey: Survey | undefined,
  dialect: string,
): Iterable<string> {
  if (configured.length === 0) return survey?.models.keys() ?? [];
  if (survey === undefined || survey.models.size === 0) return configured;
  const { models } = survey;
  return configured.flatMap((name) => {
    if (models.has(name)) return [name];
    const other = dialect === "ollama" ? otherName(name) : undefined;
    return other !== undefined && models.has(other) ? [other] : [];
  });
}

/** For Ollama `name` and `name:latest` are one. */
function addLatest(targets: Map<string, AttemptTarget>): void {
  const listed = [...targets];
  for (const [name, target] of listed) {
    const other = otherName(name);
    if (other !== undefined && !targets.has(other)) targets.set(other, target);
  }
}
