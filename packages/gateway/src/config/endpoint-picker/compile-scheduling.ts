/** Profiles of an `EndpointPickerConfig`: which plugin fills which slot, and what is there without being named. */
import type { ProfileSpec, SchedulingSpec } from "../../contracts/plugins/scheduling.ts";
import type { PluginKind } from "../../contracts/plugins/plugin.ts";
import type { PluginEntry, PluginList } from "./plugin-list.ts";
import type { EndpointPickerFile } from "./schema.ts";

type ProfileFile = NonNullable<EndpointPickerFile["schedulingProfiles"]>[number];

/** What a scorer counts where nothing is said. */
const defaultWeight = 1;

const defaultPicker = "max-score-picker";
const defaultHandler = "single-profile-handler";

const profileKinds = ["filter", "scorer", "picker"] as const satisfies readonly PluginKind[];

/** Plugins that work wherever they are declared, without a place in a profile. */
const everywhereKinds = ["producer", "admitter"] as const satisfies readonly PluginKind[];

/** The scheduling layer of a file; undefined where something is wrong, which `list` has been told. */
export function compileScheduling(file: EndpointPickerFile, list: PluginList): SchedulingSpec | undefined {
  const written = file.schedulingProfiles ?? [];
  const picker = list.ofKind("picker")[0]?.spec.name;
  const profiles =
    written.length === 0
      ? [defaultProfile(list, picker)]
      : written.map((profile, index) => compileProfile(profile, { index, list, picker }));
  findDuplicates(written, list);
  const handler = findHandler(profiles.length, list);
  const [first, ...others] = profiles.filter((profile) => profile !== undefined);
  if (first === undefined || handler === undefined || others.length + 1 < profiles.length) return undefined;
  for (const kind of everywhereKinds) for (const entry of list.ofKind(kind)) entry.used = true;
  noteUnused(list);
  const kinds: readonly PluginKind[] = [...profileKinds, ...everywhereKinds, "profile-handler"];
  const plugins = list.entries.filter(
    ({ used, definition }) => used && definition.kinds.some((kind) => kinds.includes(kind)),
  );
  return { plugins: plugins.map(({ spec }) => spec), profiles: [first, ...others], handler, shadows: [] };
}

/** Every filter, scorer and picker that is declared, in the order of the file. */
function defaultProfile(list: PluginList, picker: string | undefined): ProfileSpec | undefined {
  const use = (entries: readonly PluginEntry[]): string[] =>
    entries.map((entry) => {
      entry.used = true;
      return entry.spec.name;
    });
  const pickerName = pickerFor(list, picker);
  if (pickerName === undefined) return undefined;
  const scorers = use(list.ofKind("scorer")).map((plugin) => ({ plugin, weight: defaultWeight }));
  const profile = { name: "default", filters: use(list.ofKind("filter")), scorers, picker: pickerName };
  noteWithoutScorers(profile, ["plugins"], list);
  return profile;
}

function compileProfile(
  { name, plugins }: ProfileFile,
  {
    index,
    list,
    picker,
  }: { readonly index: number; readonly list: PluginList; readonly picker: string | undefined },
): ProfileSpec | undefined {
  const filters: string[] = [];
  const scorers: { plugin: string; weight: number }[] = [];
  const pickers: string[] = [];
  const before = list.problems.length;
  for (const [place, { pluginRef, weight }] of (plugins ?? []).entries()) {
    const path = ["schedulingProfiles", index, "plugins", place];
    const entry = list.resolve(pluginRef, { path: [...path, "pluginRef"], kinds: profileKinds });
    if (entry === undefined) continue;
    const { kinds } = entry.definition;
    if (kinds.includes("filter")) filters.push(pluginRef);
    if (kinds.includes("scorer")) scorers.push({ plugin: pluginRef, weight: weight ?? defaultWeight });
    else if (typeof weight === "number") {
      const message = `${pluginRef} is no scorer: its weight counts for nothing`;
      list.warnings.push({ path: [...path, "weight"], message });
    }
    if (!kinds.includes("picker")) continue;
    pickers.push(pluginRef);
    if (pickers.length > 1) {
      const message = `the profile ${name} has two pickers, ${pickers.join(" and ")}; expected one`;
      list.problems.push({ path: [...path, "pluginRef"], message });
    }
  }
  const chosen = pickers[0] ?? pickerFor(list, picker);
  if (chosen === undefined || list.problems.length > before) return undefined;
  const profile = { name, filters, scorers, picker: chosen };
  noteWithoutScorers(profile, ["schedulingProfiles", index], list);
  return profile;
}

/** The picker of a profile that names none: one that is declared, else that with the best score. */
function pickerFor(list: PluginList, declared: string | undefined): string | undefined {
  const entry =
    declared === undefined
      ? list.imply(defaultPicker)
      : list.resolve(declared, { path: ["plugins"], kinds: ["picker"] });
  return entry?.spec.name;
}

/** The one handler that is declared; for one profile there is a default. */
function findHandler(profiles: number, list: PluginList): string | undefined {
  const [declared, second] = list.ofKind("profile-handler");
  if (second !== undefined) {
    const message = `there are two profile handlers, ${declared?.spec.name ?? ""} and ${second.spec.name}; expected one`;
    list.problems.push({ path: second.path, message });
    return undefined;
  }
  if (declared === undefined && list.mayMean("profile-handler")) return undefined;
  if (declared === undefined && profiles > 1) {
    const message = `there are ${profiles} profiles and no profile handler that chooses among them; expected one among plugins`;
    list.problems.push({ path: ["schedulingProfiles"], message });
    return undefined;
  }
  if (declared === undefined) return list.imply(defaultHandler)?.spec.name;
  if (declared.definition.type === defaultHandler && profiles > 1) {
    const message = `${declared.spec.name} runs one profile, and there are ${profiles}; expected another profile handler`;
    list.problems.push({ path: declared.path, message });
    return undefined;
  }
  declared.used = true;
  return declared.spec.name;
}

function findDuplicates(profiles: readonly ProfileFile[], list: PluginList): void {
  const seen = new Set<string>();
  for (const [index, { name }] of profiles.entries()) {
    if (seen.has(name)) {
      const path = ["schedulingProfiles", index, "name"];
      list.problems.push({ path, message: `there are two profiles of the name "${name}"` });
    }
    seen.add(name);
  }
}

function noteWithoutScorers(profile: ProfileSpec, path: readonly PropertyKey[], list: PluginList): void {
  if (profile.scorers.length > 0) return;
  const message = `the profile ${profile.name} has no scorer: its picker chooses among endpoints that are all the same to it`;
  list.warnings.push({ path, message });
}

function noteUnused(list: PluginList): void {
  for (const { spec, used, definition, path } of list.entries) {
    if (used || !definition.kinds.every((kind) => profileKinds.some((each) => each === kind))) continue;
    list.warnings.push({ path, message: `${spec.name} is in no profile: it does nothing` });
  }
}
