/**
 * Generates packages/protocol/src/gen from proto/*.proto: message classes with their types (pbjs) and
 * file descriptors for reflection (buf). `--check` writes nothing and exits 1 when the result differs
 * from what is committed. Works offline.
 */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import protobuf from "protobufjs/minimal.js";
import descriptor from "protobufjs/ext/descriptor.js";

const root = join(import.meta.dirname, "..");
const protoFolder = join(root, "proto");
const outFolder = join(root, "packages/protocol/src/gen");
/**
 * External processing stands apart: its door reads and writes the wire itself, and only tests hold it against these
 * classes. Nothing that runs loads them.
 */
const modules = [
  { name: "protocol", holds: (proto: string) => proto !== "ext_proc.proto" },
  { name: "ext-proc", holds: (proto: string) => proto === "ext_proc.proto" },
] as const;
type Module = (typeof modules)[number];
const banner = "// Generated from proto/ by scripts/generate-protocol.ts. Do not edit.\n";

/** Runs one of the installed command line tools under this Node. */
function run(script: string, args: readonly string[]): void {
  execFileSync(process.execPath, [join(root, "node_modules", script), ...args], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
}

function pbjs({ holds }: Module, out: string, args: readonly string[]): void {
  const files = readdirSync(protoFolder).filter((name) => name.endsWith(".proto") && holds(name));
  const fixed =
    "-t static-module -w esm --force-number --dependency #wire -r spillway " +
    "--no-create --no-verify --no-convert --no-delimited --no-typeurl --no-service";
  const sources = files.toSorted().map((name) => join(protoFolder, name));
  run("protobufjs-cli/bin/pbjs", [...fixed.split(" "), ...args, "-o", out, "-p", protoFolder, ...sources]);
}

/** Replaces every match and fails when there is none: a new generator version must not pass unnoticed. */
function mustReplace(text: string, pattern: RegExp, replacement: string): string {
  if (!pattern.test(text)) throw new Error(`the generator's output no longer matches ${pattern}`);
  return text.replaceAll(pattern, replacement);
}

/** Message code without comments. */
function messageCode(module: Module, scratch: string): string {
  const out = join(scratch, `${module.name}.js`);
  pbjs(module, out, ["--no-comments"]);
  const text = readFileSync(out, "utf8");
  return banner + (module.name === "protocol" ? withExactContents(text) : text);
}

/** Reads and writes `int64_contents` and `uint64_contents` exactly. */
function withExactContents(code: string): string {
  const replacements: readonly (readonly [RegExp, string])[] = [
    [/\$util\.Long \? \$util\.Long\.fromBits\(0,0,(?:true|false)\) : 0/g, "0"],
    [/reader\.int64(s?)\(message\.int64Contents\)/g, "reader.bigInt64$1(message.int64Contents)"],
    [/reader\.uint64(s?)\(message\.uint64Contents\)/g, "reader.bigUint64$1(message.uint64Contents)"],
    [/int64Contents\.push\(reader\.int64\(\)\)/g, "int64Contents.push(reader.bigInt64())"],
    [/uint64Contents\.push\(reader\.uint64\(\)\)/g, "uint64Contents.push(reader.bigUint64())"],
  ];
  return replacements.reduce((text, [pattern, replacement]) => mustReplace(text, pattern, replacement), code);
}

/** Types that say what the code does. */
function messageTypes(module: Module, scratch: string): string {
  pbjs(module, join(scratch, `${module.name}-types.js`), ["--dts"]);
  let text = readFileSync(join(scratch, `${module.name}-types.d.ts`), "utf8");
  text = mustReplace(text, /^import Long = require\("long"\);\n/gm, "");
  text = mustReplace(text, /from "#wire"/g, 'from "protobufjs/minimal.js"');
  if (module.name === "protocol")
    text = mustReplace(text, /\b(u?int64Contents\??: \(?)number\[\]/g, "$1bigint[]");
  text = mustReplace(
    text,
    /\(reader: \(\$protobuf\.Reader\|Uint8Array\), length\?: number\)/g,
    "(bytes: Uint8Array)",
  );
  return (
    banner +
    text.replaceAll(
      /^import \* as \$protobuf from .*$/gm,
      'import type * as $protobuf from "protobufjs/minimal.js";',
    )
  );
}

interface Descriptor {
  readonly name: string;
  readonly dependencies: readonly string[];
  readonly symbols: readonly string[];
  readonly base64: string;
}

interface Method {
  readonly path: string;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
}

/** Full names of a message, what lies inside it, and its fields. */
function messageSymbols(prefix: string, message: descriptor.IDescriptorProto): string[] {
  const name = `${prefix}.${message.name ?? ""}`;
  return [
    name,
    ...(message.field ?? []).map((field) => `${name}.${field.name ?? ""}`),
    ...(message.enumType ?? []).map((each) => `${name}.${each.name ?? ""}`),
    ...(message.nestedType ?? []).flatMap((each) => messageSymbols(name, each)),
  ];
}

/** The serialized files of a FileDescriptorSet: the entries of its field 1. */
function splitSet(bytes: Uint8Array): Uint8Array[] {
  const reader = protobuf.Reader.create(bytes);
  const files: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    if (reader.uint32() !== 10) throw new Error("not a FileDescriptorSet");
    files.push(reader.bytes());
  }
  return files;
}

function serviceSymbols(prefix: string, service: descriptor.IServiceDescriptorProto): string[] {
  const name = `${prefix}.${service.name ?? ""}`;
  return [name, ...(service.method ?? []).map((method) => `${name}.${method.name ?? ""}`)];
}

function describeFile(file: descriptor.IFileDescriptorProto, bytes: Uint8Array): Descriptor {
  const prefix = file.package ?? "";
  return {
    name: file.name ?? "",
    dependencies: file.dependency ?? [],
    symbols: [
      ...(file.service ?? []).flatMap((each) => serviceSymbols(prefix, each)),
      ...(file.messageType ?? []).flatMap((each) => messageSymbols(prefix, each)),
      ...(file.enumType ?? []).map((each) => `${prefix}.${each.name ?? ""}`),
    ],
    base64: Buffer.from(bytes).toString("base64"),
  };
}

function describeMethods(file: descriptor.IFileDescriptorProto): Method[] {
  return (file.service ?? []).flatMap((service) =>
    (service.method ?? []).map((method) => ({
      path: `/${file.package ?? ""}.${service.name ?? ""}/${method.name ?? ""}`,
      clientStreaming: method.clientStreaming ?? false,
      serverStreaming: method.serverStreaming ?? false,
    })),
  );
}

function readSet(scratch: string): { files: Descriptor[]; methods: Method[] } {
  const out = join(scratch, "set.binpb");
  const flags = ["--as-file-descriptor-set", "--exclude-source-info"];
  run("@bufbuild/buf/bin/buf", ["build", protoFolder, ...flags, "-o", out]);
  const files: Descriptor[] = [];
  const methods: Method[] = [];
  for (const bytes of splitSet(readFileSync(out))) {
    // The library types what it decodes as a bare message; its fields are those of the interface.
    const decoded: unknown = descriptor.FileDescriptorProto.decode(bytes);
    const file = decoded as descriptor.IFileDescriptorProto;
    files.push(describeFile(file, bytes));
    methods.push(...describeMethods(file));
  }
  return { files, methods };
}

function descriptorCode(scratch: string): string {
  const { files, methods } = readSet(scratch);
  return (
    `${banner}export const fileDescriptors = ${JSON.stringify(files, undefined, 2)};\n\n` +
    `export const methods = ${JSON.stringify(methods, undefined, 2)};\n`
  );
}

const descriptorTypes = `${banner}
/** One .proto file. */
export interface FileDescriptor {
  /** File name as imports spell it. */
  readonly name: string;
  /** Names of the files it imports. */
  readonly dependencies: readonly string[];
  /** Full names of its services, methods, messages, fields and enums, without a leading dot. */
  readonly symbols: readonly string[];
  /** The serialized google.protobuf.FileDescriptorProto. */
  readonly base64: string;
}

/** One method of one service. */
export interface MethodDescriptor {
  /** \`/package.Service/Method\`. */
  readonly path: string;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
}

/** Every file in proto/; imported files come before those that import them. */
export const fileDescriptors: readonly FileDescriptor[];

/** Every method of every service in proto/. */
export const methods: readonly MethodDescriptor[];
`;

function generate(): Map<string, string> {
  const scratch = mkdtempSync(join(tmpdir(), "spillway-protocol-"));
  try {
    return new Map([
      ...modules.flatMap((module): [string, string][] => [
        [`${module.name}.js`, messageCode(module, scratch)],
        [`${module.name}.d.ts`, messageTypes(module, scratch)],
      ]),
      ["descriptors.js", descriptorCode(scratch)],
      ["descriptors.d.ts", descriptorTypes],
    ]);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

const check = process.argv.includes("--check");
const different: string[] = [];
for (const [name, text] of generate()) {
  const path = join(outFolder, name);
  if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
  different.push(name);
  if (check) continue;
  mkdirSync(outFolder, { recursive: true });
  writeFileSync(path, text);
}
if (check && different.length > 0) {
  process.stderr.write(
    `packages/protocol/src/gen is not what proto/ generates: ${different.join(", ")}. Run npm run generate.\n`,
  );
  process.exitCode = 1;
}
