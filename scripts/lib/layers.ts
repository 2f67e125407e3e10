// The layer table of packages/gateway/src and the rules between packages, as data: test/architecture.test.ts holds
// them, ARCHITECTURE.md prints them.

/** One row: folders that may see the same others. */
export interface LayerRow {
  layer: number;
  /** Folders of packages/gateway/src. `name/*` stands for every folder in `name`, each on its own. */
  folders: readonly string[];
  /** Layers from the lowest that may be imported, this number included; -1 is none. */
  upTo: number;
  /** Folders above `upTo` that may be imported as well. */
  also?: readonly string[];
}

/** From the lowest layer up. A folder imports down only, and never another folder of its own layer. */
export const layerRows: readonly LayerRow[] = [
  { layer: 0, folders: ["core"], upTo: -1 },
  { layer: 1, folders: ["contracts"], upTo: 0 },
  { layer: 2, folders: ["dialects", "plugins", "store", "telemetry"], upTo: 1 },
  {
    layer: 3,
    folders: [
      "stages/admission",
      "stages/routing",
      "stages/flowcontrol",
      "stages/scheduling",
      "endpoints",
      "workers",
    ],
    upTo: 1,
  },
  { layer: 3, folders: ["stages/upstream", "stages/escalation"], upTo: 1, also: ["dialects"] },
  { layer: 4, folders: ["pipeline"], upTo: 3 },
  { layer: 4, folders: ["doors/*", "edge", "admin"], upTo: 2 },
  { layer: 5, folders: ["config"], upTo: 1, also: ["plugins"] },
  { layer: 6, folders: ["app", "cli"], upTo: 6 },
];

/** Files of packages/gateway/src itself: the public faces. They may import any folder, and no folder imports them. */
export const publicFaces: readonly string[] = ["index.ts", "plugin.ts", "testing.ts"];

/** Packages that only some folders may import. `app`, `cli` and the public faces may import all. */
export const reservedImports: readonly {
  imports: readonly string[];
  folders: readonly string[];
  reason: string;
}[] = [
  {
    imports: ["@spillway/protocol", "@spillway/grpc"],
    folders: ["dialects", "doors/*", "stages/upstream", "workers"],
    reason:
      "wire formats stay where bytes are; `@spillway/protocol/tensors`, their words and sizes, may be seen by all",
  },
  {
    imports: ["@spillway/worker"],
    folders: ["workers", "config"],
    reason:
      "models live in processes of their own; spillway.yaml and model.yaml share their words for mistakes",
  },
  {
    imports: ["node:http", "node:https", "node:http2", "node:net", "node:tls", "node:dgram"],
    folders: ["doors/*", "stages/upstream", "endpoints", "workers", "edge", "admin", "telemetry"],
    reason: "the core never imports a transport",
  },
];

/** Parts of reserved packages that every folder may import: they load nothing else. */
export const openImports: readonly string[] = ["@spillway/protocol/tensors"];

/** Which packages of this repository each package may import. One that is missing here may not exist. */
export const packageImports: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  grpc: [],
  worker: ["grpc", "protocol"],
  gateway: ["grpc", "protocol", "simulator", "worker"],
  simulator: ["grpc", "protocol"],
};

/** The row a folder belongs to, undefined for a folder the table does not know. */
export function rowOf(folder: string): LayerRow | undefined {
  return layerRows.find((row) => row.folders.some((pattern) => matches(pattern, folder)));
}

/** Whether a folder is named by a pattern of the table. */
export function matches(pattern: string, folder: string): boolean {
  if (!pattern.endsWith("/*")) return pattern === folder;
  return folder.startsWith(pattern.slice(0, -1)) && !folder.slice(pattern.length - 1).includes("/");
}

/** Whether code in `from` may import code in `to`; both are folders of the table. */
export function mayImport(from: string, to: string): boolean {
  if (from === to) return true;
  const source = rowOf(from);
  const target = rowOf(to);
  if (source === undefined || target === undefined) return false;
  const all = source.layer === Math.max(...layerRows.map((row) => row.layer));
  return all || target.layer <= source.upTo || (source.also ?? []).some((pattern) => matches(pattern, to));
}

const BLOCK = /(<!-- layers:begin -->\n)[^]*?(<!-- layers:end -->)/;

/** A page with the table between its `layers:begin` and `layers:end` marks. Throws where it has none. */
export function fillLayers(page: string): string {
  if (!BLOCK.test(page)) throw new Error("the page needs <!-- layers:begin --> and <!-- layers:end -->");
  return page.replace(BLOCK, (_, begin: string, end: string) => `${begin}\n${printLayers()}\n\n${end}`);
}

/** The table as ARCHITECTURE.md prints it, in Markdown. */
export function printLayers(): string {
  const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(", ");
  const top = Math.max(...layerRows.map((row) => row.layer));
  const lines = layerRows.map(({ layer, folders, upTo, also = [] }) => {
    const below = upTo < 0 ? "nothing" : upTo === 0 ? "0" : `0–${upTo}`;
    const allowed = layer === top ? "anything" : [below, ...(also.length > 0 ? [code(also)] : [])].join(", ");
    return `| ${layer} | ${code(folders)} | ${allowed} |`;
  });
  const reserved = reservedImports.map(
    ({ imports, folders, reason }) => `| ${code(imports)} | ${code(folders)} | ${reason} |`,
  );
  return [
    "| Layer | Folders | May import layers |",
    "| --- | --- | --- |",
    ...lines,
    "",
    "| Packages | Only in (and `app`, `cli`) | Why |",
    "| --- | --- | --- |",
    ...reserved,
  ].join("\n");
}
