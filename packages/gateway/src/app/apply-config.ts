/** Brings another configuration into a gateway that runs. Loaded when the first one comes. */
import type { ModelEscalation } from "../contracts/escalation.ts";
import { GatewayError } from "../core/errors.ts";
import type { Stages } from "../pipeline/pipeline.ts";
import { createAdmission } from "../stages/admission/admission.ts";
import type { KeyRing } from "../stages/admission/key-ring.ts";
import {
  createModelEscalation,
  type ConfiguredModelEscalation,
} from "../stages/escalation/model-escalation.ts";
import { createTraitsReader } from "../stages/routing/read-traits.ts";
import type { ReadConfig, TakenConfig } from "./config-source.ts";
import type { Doors } from "./doors.ts";
import type { Forwarding } from "./forward.ts";
import type { KeyKeeper } from "./keys.ts";
import type { GatewayContext } from "./options.ts";
import { planReload } from "./plan-reload.ts";

/** What a configuration changes of a gateway. */
export interface Running {
  /** What runs now. */
  config: ReadConfig;
  /** The pipeline reads them anew for each step. */
  readonly stages: { -readonly [Name in keyof Stages]: Stages[Name] };
  /** Of models that take tensors; undefined: none has ever escalated. */
  escalation: ConfiguredModelEscalation | undefined;
  readonly ring: KeyRing;
  readonly keys: KeyKeeper;
  readonly forwarding: Forwarding;
  readonly doors: Pick<Doors, "allow">;
  readonly context: GatewayContext;
  /** What can be asked for may have changed. */
  readonly onChange: () => void;
}

/**
 * Makes all that is new, and then puts it in place in one turn: a request goes by the one configuration or by the other.
 * Rejects with a `GatewayError` where something cannot be made; then nothing has changed.
 */
export async function applyConfig(
  running: Running,
  next: ReadConfig,
  isWanted: () => boolean,
): Promise<TakenConfig> {
  const { stages, forwarding, keys, ring, doors, context } = running;
  const plan = planReload(running.config, next);
  const { config, waiting } = plan;
  const isNew = new Set(plan.changed);
  const { access } = config;
  const forward = await forwarding.prepare(config, isNew);
  const kept = isNew.has("auth") ? await keys.prepare(access).catch(discarding(forward)) : undefined;
  if (!isWanted()) {
    forward.discard();
    kept?.discard();
    throw new GatewayError("draining", "The gateway ends");
  }
  const changed = [...forward.pools.map((name) => `pools.${name}`), ...plan.changed];
  kept?.commit();
  stages.admission = createAdmission(access, ring);
  stages.traits = createTraitsReader(config.traits);
  stages.forward = forward.commit();
  stages.escalation = escalationOf(running, config);
  doors.allow(access.origins);
  running.config = config;
  context.source?.onTaken?.(config, { changed, waiting });
  running.onChange();
  return { changed, waiting };
}

function discarding({ discard }: { readonly discard: () => void }): (error: unknown) => never {
  return (error) => {
    discard();
    throw error;
  };
}

/** Stays once it is made: requests that may escalate are under way, and budgets have counted. */
function escalationOf(running: Running, { escalate }: ReadConfig): ModelEscalation | undefined {
  if (running.escalation === undefined && escalate.length === 0) return undefined;
  running.escalation ??= createModelEscalation(escalate, running.context);
  running.escalation.configure(escalate);
  return running.escalation;
}
