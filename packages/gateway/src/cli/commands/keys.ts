/** `spillway keys`: makes, lists and revokes the keys that callers need where `auth` says so. */
import { dirname, resolve } from "node:path";
import { loadKeys, parseKeys } from "../../config/index.ts";
import type { KeyOptions } from "../../contracts/options.ts";
import { createSecret, digestSecret, formatKey, isKeyId } from "../../core/api-key.ts";
import { systemClock } from "../../core/clock.ts";
import type { Scope } from "../../core/request.ts";
import { CommandError, ConfigFileError } from "../command-error.ts";
import { exitCodes } from "../exit-codes.ts";
import { shortPath } from "../greeting.ts";
import { addKey, formatEntry, removeKey, type KeyEntry } from "../keys-store.ts";
import { readConfig } from "../serve-config.ts";
import { formatTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";

/** Where the keys are. */
export interface KeysPlace {
  readonly config?: string;
  /** The file of keys, over what the configuration says. */
  readonly file?: string;
}

/** What the command line says of a new key. */
export interface CreateKeyOptions extends KeysPlace {
  readonly id: string;
  readonly scopes: readonly Scope[];
  readonly requestsPerMinute?: number;
  readonly burst?: number;
  readonly tokensPerMinute?: number;
  readonly concurrency?: number;
  readonly expires?: string;
  readonly models?: readonly string[];
  /** Prints the lines for the configuration and writes nothing. */
  readonly print?: boolean;
}

/** What `keys list` is told. */
export interface ListKeysOptions extends KeysPlace {
  readonly json?: boolean;
}

const defaultFile = "keys.yaml";

/** The keys that there are, and the file that is written. */
interface Keys {
  readonly file: string;
  /** The configuration lets callers in by this file. */
  readonly isUsed: boolean;
  readonly inline: readonly KeyOptions[];
  readonly inFile: readonly KeyOptions[];
}

/** Prints the new key, this once. */
export async function createKey(options: CreateKeyOptions, terminal: Terminal): Promise<number> {
  const { id } = options;
  if (!isKeyId(id)) {
    throw new CommandError(
      `--id ${JSON.stringify(id)}: expected at most 64 letters, digits, dots, dashes and underscores that start with a letter or digit, and none of local, anonymous, unknown, other`,
    );
  }
  const keys = await readKeys(options, terminal);
  if ([...keys.inline, ...keys.inFile].some((key) => key.id === id)) {
    throw new CommandError(`there is a key ${id} already; revoke it first, or choose another --id`);
  }
  const secret = createSecret();
  const entry = entryOf(options, secret);
  const checked = parseKeys(formatEntry(entry), { file: "the new key", inline: [] });
  if ("errors" in checked) throw new CommandError(checked.errors.join("\n"));
  if (options.print === true) {
    terminal.print(formatEntry(entry));
    terminal.complain(`The key, shown this once: ${formatKey(id, secret)}\n`);
    return exitCodes.ok.code;
  }
  await addKey(keys.file, entry);
  terminal.print(`${formatKey(id, secret)}\n`);
  const place = shortPath(keys.file, terminal.workingDirectory);
  terminal.complain(
    `Shown this once. Its SHA-256 is in ${place}.\n${keys.isUsed ? "" : howToUse(options, place)}`,
  );
  return exitCodes.ok.code;
}

function howToUse({ file }: KeysPlace, place: string): string {
  const auth = file === undefined ? "auth: {}" : `auth: { keysFile: ${place} }`;
  return `Callers need a key once the configuration says\n\n  ${auth}\n`;
}

function entryOf(options: CreateKeyOptions, secret: string): KeyEntry {
  const { id, scopes, requestsPerMinute, burst, tokensPerMinute, concurrency, expires, models } = options;
  const given = Object.entries({ requestsPerMinute, burst, tokensPerMinute, concurrency });
  const limits = Object.fromEntries(given.filter(([, value]) => value !== undefined)) as KeyEntry["limits"];
  return {
    id,
    secret: `sha256:${digestSecret(secret)}`,
    scopes,
    ...(limits === undefined || Object.keys(limits).length === 0 ? {} : { limits }),
    ...(expires === undefined ? {} : { expires }),
    ...(models === undefined ? {} : { models }),
  };
}

/** Prints every key, never a secret or its digest. */
export async function listKeys(options: ListKeysOptions, terminal: Terminal): Promise<number> {
  const { inline, inFile, file } = await readKeys(options, terminal);
  const now = systemClock.wallNow();
  const all = [
    ...inline.map((key) => listed(key, "configuration")),
    ...inFile.map((key) => listed(key, file)),
  ];
  if (options.json === true) terminal.print(`${JSON.stringify(all, undefined, 2)}\n`);
  else if (all.length === 0) terminal.print("no keys\n");
  else {
    const rows = all.map(({ id, scopes, limits, models, expires, where }) => [
      id,
      scopes.join(","),
      Object.entries(limits)
        .map(([name, value]) => `${name}=${value}`)
        .join(" ") || "none",
      models?.join(",") ?? "all",
      expires === null ? "never" : `${expires}${Date.parse(expires) <= now ? " (passed)" : ""}`,
      where === "configuration" ? where : shortPath(where, terminal.workingDirectory),
    ]);
    terminal.print(formatTable(["KEY", "SCOPES", "LIMITS", "MODELS", "EXPIRES", "WHERE"], rows));
  }
  return exitCodes.ok.code;
}

function listed({ id, scopes, limits, models, expiresAtMs }: KeyOptions, where: string) {
  const given = Object.entries(limits).filter(([, value]) => value !== undefined);
  return {
    id,
    scopes,
    limits: Object.fromEntries(given) as Readonly<Record<string, number>>,
    models: models ?? null,
    expires: expiresAtMs === undefined ? null : new Date(expiresAtMs).toISOString(),
    where,
  };
}

/** Takes a key out of the file. A gateway that watches it refuses the key within two seconds. */
export async function revokeKey(
  options: KeysPlace & { readonly id: string },
  terminal: Terminal,
): Promise<number> {
  const { id } = options;
  const { inline, file } = await readKeys(options, terminal);
  const place = shortPath(file, terminal.workingDirectory);
  if (inline.some((key) => key.id === id)) {
    throw new CommandError(`the key ${id} stands in the configuration itself: remove it there and restart`);
  }
  if (!(await removeKey(file, id))) throw new CommandError(`no key ${id} in ${place}`);
  terminal.print(`${id} revoked\n`);
  return exitCodes.ok.code;
}

/** What the configuration and its file of keys say. Throws a `ConfigFileError` where either is wrong. */
async function readKeys(options: KeysPlace, terminal: Terminal): Promise<Keys> {
  const { config, file: configFile } = await readConfig(
    options.config === undefined ? {} : { config: options.config },
    terminal,
  );
  const { workingDirectory } = terminal;
  const { access } = config;
  const folder = configFile === undefined ? workingDirectory : dirname(resolve(workingDirectory, configFile));
  const named = options.file === undefined ? undefined : resolve(workingDirectory, options.file);
  const file = named ?? access.keysFile ?? resolve(folder, defaultFile);
  const result = await loadKeys({ file, inline: access.keys });
  if ("errors" in result) throw new ConfigFileError(result.errors);
  return { file, isUsed: access.keysFile === file, inline: access.keys, inFile: result.keys };
}
