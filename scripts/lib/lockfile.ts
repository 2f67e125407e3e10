/**
 * Makes package-lock.json whole where the registry in use does not carry every platform's packages.
 * npm leaves optional packages out that it cannot find, and `npm ci` then refuses the lockfile everywhere.
 */

/** The part of an entry of package-lock.json (version 3) that is read or written here. */
export interface LockEntry {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
  [field: string]: unknown;
}

/** `packages` of package-lock.json: folder → entry. */
export type LockPackages = Record<string, LockEntry>;

const SYSTEMS = new Set([
  "aix",
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "win32",
]);
const PROCESSORS: Readonly<Record<string, string>> = {
  aarch64: "arm64",
  arm: "arm",
  arm64: "arm64",
  armv7: "arm",
  ia32: "ia32",
  loong64: "loong64",
  mips64el: "mips64el",
  ppc64: "ppc64",
  riscv64: "riscv64",
  s390x: "s390x",
  x64: "x64",
};

/**
 * The optional dependencies, as `[owner's folder, name, version]`, that no entry satisfies. Empty for a whole
 * lockfile.
 */
export function missingOptional(packages: LockPackages): [owner: string, name: string, version: string][] {
  const missing: [string, string, string][] = [];
  for (const [owner, entry] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const found = [`${owner}/node_modules/${name}`, `node_modules/${name}`].some(
        (folder) => folder in packages,
      );
      if (!found) missing.push([owner, name, version]);
    }
  }
  return missing;
}

/**
 * The packages with an entry for every optional dependency, in npm's order. Added entries state version and
 * platform, read from the name (`@scope/tool-linux-x64-musl`), and no integrity: npm skips them on other
 * platforms and asks the registry on their own.
 *
 * @throws Error if a version is a range or a name tells no platform: such an entry needs a registry that has it.
 */
export function completePackages(packages: LockPackages): LockPackages {
  const complete = { ...packages };
  for (const [owner, name, version] of missingOptional(packages)) {
    if (!/^\d+\.\d+\.\d+/.test(version))
      throw new Error(`${name}@${version} of ${owner} is not an exact version`);
    const dev = packages[owner]?.dev === true ? { dev: true } : {};
    complete[`node_modules/${name}`] = { version, ...platformOf(name), ...dev, optional: true };
  }
  return Object.fromEntries(Object.entries(complete).sort(([a], [b]) => a.localeCompare(b, "en")));
}

function platformOf(name: string): Pick<LockEntry, "os" | "cpu" | "libc"> {
  const words = name.slice(name.indexOf("/") + 1).split("-");
  const os = words.find((word) => SYSTEMS.has(word));
  const cpu = words.map((word) => PROCESSORS[word]).find((word) => word !== undefined);
  if (os === undefined || cpu === undefined) throw new Error(`the name ${name} tells no platform`);
  if (os !== "linux") return { cpu: [cpu], os: [os] };
  if (words.some((word) => word.startsWith("musl"))) return { cpu: [cpu], libc: ["musl"], os: [os] };
  if (words.some((word) => word.startsWith("gnu"))) return { cpu: [cpu], libc: ["glibc"], os: [os] };
  return { cpu: [cpu], os: [os] };
}
