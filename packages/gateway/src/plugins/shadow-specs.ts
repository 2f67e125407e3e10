/** Takes a scheduling layer apart: what is live, and each shadow as a layer of its own. */
import type { PluginSpec } from "../contracts/plugins/plugin.ts";
import type { ProfileSpec, SchedulingSpec } from "../contracts/plugins/scheduling.ts";

const handler: PluginSpec = { name: "shadow-handler", type: "single-profile-handler", parameters: {} };

/** The layer without its shadows, and without the plugins that only shadows name: these never run beside traffic. */
export function liveSpec(spec: SchedulingSpec): SchedulingSpec {
  if (spec.shadows.length === 0) return spec;
  const live = namesOf(spec.profiles).add(spec.handler);
  const shadows = namesOf(spec.shadows);
  return {
    ...spec,
    shadows: [],
    plugins: spec.plugins.filter(({ name }) => live.has(name) || !shadows.has(name)),
  };
}

/** Each shadow with the plugins that it names, and with those that no profile names: producers. */
export function shadowSpecs(
  spec: SchedulingSpec,
): { readonly name: string; readonly spec: SchedulingSpec }[] {
  const named = namesOf([...spec.profiles, ...spec.shadows]).add(spec.handler);
  return spec.shadows.map((shadow) => {
    const own = namesOf([shadow]);
    const plugins = spec.plugins.filter(({ name }) => own.has(name) || !named.has(name));
    return {
      name: shadow.name,
      spec: {
        ...spec,
        plugins: [...plugins, handler],
        profiles: [shadow],
        handler: handler.name,
        shadows: [],
      },
    };
  });
}

function namesOf(profiles: readonly ProfileSpec[]): Set<string> {
  return new Set(
    profiles.flatMap(({ filters, scorers, picker }) => [
      ...filters,
      ...scorers.map(({ plugin }) => plugin),
      picker,
    ]),
  );
}
