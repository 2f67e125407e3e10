// Builds the packages of the workspace as they are published: JavaScript, declarations, the models and the llama engine beside the gateway.
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { listFiles, root } from "./paths.ts";

const run = promisify(execFile);
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const SCOPE = "@spillway/";

type Exports = Record<string, Record<string, string>>;

interface Manifest {
  name: string;
  exports: Exports;
  dependencies?: Record<string, string>;
  [field: string]: unknown;
}

/** A package of the workspace, by the name of its folder under packages/. */
interface Package {
  folder: string;
  manifest: Manifest;
}

/**
 * Builds every package into `<out>/<name>`: a folder that `npm pack` and `npm publish` take as it is. What was
 * there is replaced. The checkout is not written to, unless `out` lies in it.
 *
 * @returns the names of the packages, each after those it depends on
 * @throws Error with the compiler's messages
 */
export async function buildPackages(out: string): Promise<string[]> {
  const packages = inOrder(readPackages());
  for (const each of packages) {
    rmSync(path.join(out, each.folder), { recursive: true, force: true });
    await compile(each, { out, packages });
    copyRest(each, out);
    if (each.folder === "gateway") await copyEngine(path.join(out, each.folder, "engines/llama"));
  }
  return packages.map(({ folder }) => folder);
}

/** Packs built packages. Returns the paths of the tarballs, in `<out>/tarballs`. */
export async function packPackages(out: string, names: readonly string[]): Promise<string[]> {
  const destination = path.join(out, "tarballs");
  mkdirSync(destination, { recursive: true });
  const folders = names.map((name) => `./${name}`);
  const args = ["pack", "--json", "--pack-destination", destination, ...folders];
  const { stdout } = await run("npm", args, { cwd: out, maxBuffer: MAX_OUTPUT_BYTES });
  const packed = JSON.parse(stdout) as Record<string, { filename: string }> | { filename: string }[];
  return Object.values(packed).map(({ filename }) => path.join(destination, filename));
}

function readPackages(): Package[] {
  return listFiles(["packages/*/package.json"]).map((file) => {
    const manifest = JSON.parse(readFileSync(path.join(root, file), "utf8")) as Manifest;
    return { folder: path.basename(path.dirname(file)), manifest };
  });
}

/** Names of the workspace's packages that a manifest depends on. */
function ownDependencies({ dependencies = {} }: Manifest): string[] {
  return Object.keys(dependencies).filter((name) => name.startsWith(SCOPE));
}

/** Each package after those it depends on. Throws where they depend on each other in a circle. */
function inOrder(packages: readonly Package[]): Package[] {
  const ordered: Package[] = [];
  const waiting = [...packages];
  while (waiting.length > 0) {
    const done = new Set(ordered.map(({ manifest }) => manifest.name));
    const next = waiting.findIndex(({ manifest }) =>
      ownDependencies(manifest).every((name) => done.has(name)),
    );
    if (next < 0) throw new Error(`circular: ${waiting.map(({ folder }) => folder).join(", ")}`);
    ordered.push(...waiting.splice(next, 1));
  }
  return ordered;
}

/** Dependencies are read from their built declarations, as a user of the packages would read them. */
async function compile(
  { folder, manifest }: Package,
  { out, packages }: { out: string; packages: readonly Package[] },
) {
  const own = ownDependencies(manifest);
  const paths = packages
    .filter((each) => own.includes(each.manifest.name))
    .flatMap((each) => declarationPaths(each, out));
  const source = path.join(root, "packages", folder, "src");
  const config = {
    extends: path.join(root, "tsconfig.base.json"),
    compilerOptions: {
      rootDir: source,
      outDir: path.join(out, folder, "dist"),
      declaration: true,
      customConditions: [],
      typeRoots: [path.join(root, "node_modules/@types")],
      paths: Object.fromEntries(paths),
    },
    include: [`${source}/**/*.ts`],
    exclude: [`${source}/**/*.test.ts`],
  };
  await runCompiler(config, `packages/${folder}`);
}

async function runCompiler(config: object, what: string): Promise<void> {
  const temporary = mkdtempSync(path.join(tmpdir(), "spillway-build-"));
  try {
    const file = path.join(temporary, "tsconfig.json");
    writeFileSync(file, JSON.stringify(config));
    await run(path.join(root, "node_modules/.bin/tsc"), ["-p", file], {
      cwd: root,
      maxBuffer: MAX_OUTPUT_BYTES,
    });
  } catch (error) {
    const { stdout = "" } = error as { stdout?: string };
    throw new Error(`${what} does not compile:\n${stdout}`, { cause: error });
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

/**
 * The llama engine as the gateway starts it: JavaScript and package.json, without the library, which each machine installs
 * for itself. Its types are checked where the library is (`.ci/run`); here they may be missing.
 */
async function copyEngine(to: string): Promise<void> {
  const from = path.join(root, "engines/llama");
  const source = path.join(from, "src");
  const config = {
    extends: path.join(root, "tsconfig.base.json"),
    compilerOptions: {
      rootDir: source,
      outDir: path.join(to, "dist"),
      noCheck: true,
      customConditions: [],
      typeRoots: [path.join(root, "node_modules/@types")],
    },
    include: [`${source}/**/*.ts`],
    exclude: [`${source}/**/*.test.ts`],
  };
  await runCompiler(config, "engines/llama");
  cpSync(path.join(from, "package.json"), path.join(to, "package.json"));
}

function declarationPaths({ folder, manifest }: Package, out: string): [string, string[]][] {
  return Object.entries(manifest.exports).map(([subpath, conditions]) => [
    path.posix.join(manifest.name, subpath),
    [path.join(out, folder, conditions["types"] ?? "")],
  ]);
}

/** Everything of a package that is not compiled: generated JavaScript, pages for browsers, entries, licence, models, package.json. */
function copyRest({ folder, manifest }: Package, out: string): void {
  const from = path.join(root, "packages", folder);
  const to = path.join(out, folder);
  for (const file of listFiles(["**/*.{js,d.ts,html,css}"], path.join(from, "src"))) {
    cpSync(path.join(from, "src", file), path.join(to, "dist", file));
  }
  for (const file of listFiles(["bin/*"], from)) cpSync(path.join(from, file), path.join(to, file));
  cpSync(path.join(root, "LICENSE"), path.join(to, "LICENSE"));
  if (folder === "gateway") {
    if (existsSync(path.join(root, "README.md")))
      cpSync(path.join(root, "README.md"), path.join(to, "README.md"));
    copyModels(path.join(to, "models"));
  }
  writeFileSync(path.join(to, "package.json"), `${JSON.stringify(published(manifest), null, 2)}\n`);
}

/** The models without what only making and judging them needs, and without GGUF files that somebody tries here. */
function copyModels(to: string): void {
  const left = new Set(["train.py", "requirements.txt", "heldout", "heldout.json"]);
  cpSync(path.join(root, "models"), to, {
    recursive: true,
    filter: (from) => !left.has(path.basename(from)) && !from.endsWith(".gguf"),
  });
}

/** A manifest without the condition under which the repository reads its own sources. */
function published(manifest: Manifest): Manifest {
  const exports = Object.entries(manifest.exports).map(([subpath, conditions]) => {
    const { source: _, ...rest } = conditions;
    return [subpath, rest] as const;
  });
  return { ...manifest, exports: Object.fromEntries(exports) };
}
