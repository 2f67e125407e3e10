/** The command line: commands and options. The reference page is made from these definitions. */
import { Command, CommanderError, Option } from "commander";
import { logLevels } from "../contracts/telemetry.ts";
import type { CalibrateOptions } from "./commands/calibrate.ts";
import type { CheckOptions } from "./commands/check.ts";
import type { CheckPickerOptions } from "./commands/check-picker.ts";
import type { DoctorOptions } from "./commands/doctor.ts";
import type { EnginesOptions } from "./commands/engines.ts";
import type { CreateKeyOptions, KeysPlace, ListKeysOptions } from "./commands/keys.ts";
import type { ModelsOptions } from "./commands/models.ts";
import type { PredictCommandOptions } from "./commands/predict.ts";
import type { ServeOptions } from "./commands/serve.ts";
import type { SimulateOptions } from "./commands/simulate.ts";
import type { WorkerCommandOptions } from "./commands/worker.ts";
import { examples } from "./examples.ts";
import { exitCodes } from "./exit-codes.ts";
import {
  collect,
  readCount,
  readMoment,
  readNames,
  readNumbers,
  readPort,
  readPositive,
  readScopes,
  readUrl,
} from "./option-values.ts";
import { addPickerFlags, settleFlags } from "./picker-command.ts";
import type { Terminal } from "./terminal.ts";
import { packageVersion } from "./version.ts";

/** Runs the program and returns its exit code. Throws what a command throws. */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode: number = exitCodes.ok.code;
  const program = createProgram({
    terminal,
    done: (code) => {
      exitCode = code;
    },
  });
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? exitCodes.ok.code : exitCodes.usage.code;
  }
}

/** What the commands are given. */
export interface ProgramContext {
  readonly terminal: Terminal;
  /** Takes the exit code of the command that ran. */
  readonly done: (exitCode: number) => void;
}

/** The commands. Each is imported when it runs. */
export function createProgram(context: ProgramContext): Command {
  const { terminal } = context;
  const program = new Command("spillway")
    .description("One front door for every model a team runs")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help of a command")
    .exitOverride()
    .configureOutput({ writeOut: terminal.print, writeErr: terminal.complain });
  addServe(program, context);
  addPicker(program, context);
  addWorker(program, context);
  addCheck(program, context);
  addKeys(program, context);
  addModels(program, context);
  addPredict(program, context);
  addCalibrate(program, context);
  addEngines(program, context);
  addSimulate(program, context);
  addDoctor(program, context);
  const codes = Object.values(exitCodes).map(({ code, meaning }) => `  ${String(code).padEnd(4)} ${meaning}`);
  program.addHelpText("after", `\nExit codes:\n${codes.join("\n")}`);
  return program;
}

function addServe(program: Command, { terminal, done }: ProgramContext): void {
  define(program, "serve")
    .description("Start the gateway: HTTP, gRPC and a process for every model")
    .option(
      "-c, --config <file>",
      "configuration file (default: ./spillway.yaml where there is one, else what is built in)",
    )
    .option("-m, --models <folder>", "model repository, over what the configuration says")
    .option("-p, --port <port>", "port for HTTP, of the first listener", readPort)
    .option("--grpc-port <port>", "port for gRPC", readPort)
    .option("--no-grpc", "no gRPC")
    .option("--host <address>", "address to bind, HTTP and gRPC")
    .addOption(new Option("--log-level <level>", "quietest level that is logged").choices(logLevels))
    .addOption(
      new Option("--log-format <format>", "json: nothing but JSON lines on standard error").choices([
        "auto",
        "json",
        "pretty",
      ]),
    )
    .action(async (options: ServeOptions) => {
      const { serve } = await import("./commands/serve.ts");
      done(await serve(options, terminal));
    });
}

function addPicker(program: Command, { terminal, done }: ProgramContext): void {
  addPickerFlags(define(program, "picker"))
    .description(
      "Answer Envoy alone: which server of a pool takes a request (ext_proc), with the llm-d router's flags",
    )
    .action(async (given: Readonly<Record<string, unknown>>) => {
      const { options, notes } = settleFlags(given);
      const { picker } = await import("./commands/picker.ts");
      done(await picker(options, notes, terminal));
    });
}

function addWorker(program: Command, { terminal, done }: ProgramContext): void {
  define(program, "worker")
    .description("Serve a model repository over gRPC, for gateways that list it in a pool")
    .requiredOption("-m, --models <folder>", "model repository")
    .option("-p, --port <port>", "port for gRPC", readPort, 50_051)
    .option("--host <address>", "address to bind", "127.0.0.1")
    .addOption(new Option("--log-level <level>", "quietest level that is logged").choices(logLevels))
    .addOption(
      new Option("--log-format <format>", "how to log").choices(["auto", "json", "pretty"]).default("auto"),
    )
    .action(async (options: WorkerCommandOptions) => {
      const { worker } = await import("./commands/worker.ts");
      done(await worker(options, terminal));
    });
}

function addSimulate(program: Command, { terminal, done }: ProgramContext): void {
  define(program, "simulate")
    .description(
      "Run a server that behaves like Ollama, vLLM, OpenAI, Anthropic or the Groundlight cloud, without a model",
    )
    .addOption(
      new Option("--face <name>", "which server").choices([
        "ollama",
        "vllm",
        "openai",
        "anthropic",
        "groundlight",
      ]),
    )
    .option("--preset <name>", "face, models and speed of a known server (an unknown name lists them)")
    .option("-m, --model <name>", "a model it serves, or a detector; may be repeated", collect)
    .option("--cloud <file>", "detectors, tokens, answers and pace of the Groundlight cloud, as JSON")
    .option("--fault <fault>", "what goes wrong: name=value,… or JSON; may be repeated", collect)
    .option("--key <key>", "a key that callers must show; may be repeated", collect)
    .option("-p, --port <port>", "port for HTTP; 0 is any free one", readPort, 0)
    .option("--host <address>", "address to bind", "127.0.0.1")
    .option("--seed <number>", "seed of words, lengths and chances", readPositive, 1)
    .option("--time-scale <factor>", "how many times as fast as real time", readPositive, 1)
    .action(async (options: SimulateOptions) => {
      const { simulate } = await import("./commands/simulate.ts");
      done(await simulate(options, terminal));
    });
}

function addCheck(program: Command, { terminal, done }: ProgramContext): void {
  define(program, "check")
    .description("Read configuration and models, start nothing, and say what would run or what is wrong")
    .option("-c, --config <file>", "configuration file (default: ./spillway.yaml where there is one)")
    .option("-m, --models <folder>", "model repository, over what the configuration says")
    .option("--config-file <file>", "EndpointPickerConfig of a picker, in the place of a configuration")
    .option("--plugin <file>", "with --config-file: file of plugins of your own; may be repeated", collect)
    .option(
      "--scenario <file>",
      "with --config-file: endpoints and a request, to say which is picked and why",
    )
    .option("--json", "print JSON")
    .action(async (options: CheckOptions & Partial<CheckPickerOptions>) => {
      const { configFile } = options;
      if (configFile !== undefined) {
        const { checkPicker } = await import("./commands/check-picker.ts");
        return done(await checkPicker({ ...options, configFile }, terminal));
      }
      const { check } = await import("./commands/check.ts");
      done(await check(options, terminal));
    });
}

function addKeys(program: Command, { terminal, done }: ProgramContext): void {
  const keys = define(program, "keys").description("Make, list and revoke the keys that callers need");
  const add = (name: string, description: string) =>
    define(keys, name, { isDefault: name === "list" })
      .description(description)
      .option("-c, --config <file>", "configuration file (default: ./spillway.yaml where there is one)")
      .option(
        "--file <file>",
        "file of keys (default: auth.keysFile, else keys.yaml beside the configuration)",
      );
  const command = async () => import("./commands/keys.ts");
  addKeyOptions(add("create", "Make a key, print it once and keep its SHA-256")).action(
    async (options: CreateKeyOptions) => {
      done(await (await command()).createKey(options, terminal));
    },
  );
  add("list", "Keys and their limits, without secrets")
    .option("--json", "print JSON")
    .action(async (options: ListKeysOptions) => {
      done(await (await command()).listKeys(options, terminal));
    });
  add("revoke", "Take a key out of the file: it is refused within 2 seconds")
    .argument("<id>", "the key's id")
    .action(async (id: string, options: KeysPlace) => {
      done(await (await command()).revokeKey({ ...options, id }, terminal));
    });
}

/** What can be said of a new key. */
function addKeyOptions(command: Command): Command {
  return command
    .requiredOption("--id <id>", "names the key in logs and metrics")
    .addOption(
      new Option("--scopes <scopes>", "what it may: infer, status, admin, separated by commas")
        .argParser(readScopes)
        .default(["infer"], "infer"),
    )
    .option("--requests-per-minute <n>", "limit of requests", readCount)
    .option("--burst <n>", "requests at once after a pause (default: requests per minute)", readCount)
    .option("--tokens-per-minute <n>", "limit of prompt and completion tokens", readCount)
    .option("--concurrency <n>", "limit of inference requests at once", readCount)
    .option("--models <names>", "models it may ask, separated by commas; a * ends a beginning", readNames)
    .option("--expires <day>", "a day (UTC) or a time with its zone from which it is refused", readMoment)
    .option("--print", "print the lines for the configuration instead of writing the file");
}

function addModels(program: Command, { terminal, done }: ProgramContext): void {
  const models = define(program, "models").description(
    "List, load and unload the models of a running gateway",
  );
  const add = (name: string, description: string, argument?: string) => {
    const command = remote(define(models, name, { isDefault: name === "list" }).description(description));
    if (argument !== undefined) command.argument(argument, "the model's name");
    return command;
  };
  const command = async () => import("./commands/models.ts");
  add("list", "Versions and their states").action(async (options: ModelsOptions) => {
    done(await (await command()).listModels(options, terminal));
  });
  add("load", "Load a model, or what changed of it on disk", "<model>").action(
    async (name: string, options: ModelsOptions) => {
      done(await (await command()).changeModel({ ...options, name, action: "load" }, terminal));
    },
  );
  add("unload", "Take a model out of service", "<model>").action(
    async (name: string, options: ModelsOptions) => {
      done(await (await command()).changeModel({ ...options, name, action: "unload" }, terminal));
    },
  );
  add("stats", "Requests, batches and times since the start", "[model]").action(
    async (name: string | undefined, options: ModelsOptions) => {
      done(await (await command()).showStatistics({ ...options, name }, terminal));
    },
  );
}

function addPredict(program: Command, { terminal, done }: ProgramContext): void {
  remote(define(program, "predict"))
    .description("Ask a model of a running gateway once")
    .argument("<model>", "the model's name")
    .addOption(
      new Option("-f, --features <numbers>", "numbers, separated by commas")
        .argParser(readNumbers)
        .conflicts(["prompt", "image"]),
    )
    .addOption(new Option("-t, --prompt <text>", "a text").conflicts(["features", "image"]))
    .addOption(
      new Option("-i, --image <file>", "a picture: JPEG, PNG or WebP").conflicts(["features", "prompt"]),
    )
    .action(async (model: string, options: PredictCommandOptions, command: Command) => {
      if (options.features === undefined && options.prompt === undefined && options.image === undefined) {
        command.error("error: say what to predict from: --features, --prompt or --image");
      }
      const { predict } = await import("./commands/predict.ts");
      done(await predict(model, options, terminal));
    });
}

function addCalibrate(program: Command, { terminal, done }: ProgramContext): void {
  remote(define(program, "calibrate"))
    .description(
      "Fit what a detector's confidence is worth to the answers of the cloud, and the threshold for the agreement that is wished",
    )
    .argument("<detector>", "the detector's id")
    .option("--show", "fit nothing, tell what was fitted last and whether it still holds")
    .action(async (detector: string, options: CalibrateOptions) => {
      const { calibrate } = await import("./commands/calibrate.ts");
      done(await calibrate(detector, options, terminal));
    });
}

function addEngines(program: Command, { terminal, done }: ProgramContext): void {
  const engines = define(program, "engines").description(
    "List, add and remove engines that do not come with Spillway itself",
  );
  const add = (name: string, description: string) =>
    define(engines, name, { isDefault: name === "list" })
      .description(description)
      .option("--json", "print JSON");
  const command = async () => import("./commands/engines.ts");
  add("list", "Engines and whether they are installed").action(async (options: EnginesOptions) => {
    done((await command()).listEngines(options, terminal));
  });
  add(
    "add",
    "Install an engine with npm: into engines/ of a checkout, else into SPILLWAY_DATA or ./.spillway",
  )
    .argument("<engine>", "llama")
    .action(async (name: string, options: EnginesOptions) => {
      done(await (await command()).addEngine(name, options, terminal));
    });
  add("remove", "Remove what was installed")
    .argument("<engine>", "llama")
    .action(async (name: string, options: EnginesOptions) => {
      done((await command()).dropEngine(name, options, terminal));
    });
}

function addDoctor(program: Command, { terminal, done }: ProgramContext): void {
  define(program, "doctor")
    .description("Look for what would keep Spillway from working on this machine, and say what to do")
    .option("-c, --config <file>", "configuration file whose ports and folders are looked at")
    .option("--json", "print JSON")
    .action(async (options: DoctorOptions) => {
      const { doctor } = await import("./commands/doctor.ts");
      done(await doctor(options, terminal));
    });
}

/** A command with its examples below its help. */
function define(parent: Command, name: string, options: { readonly isDefault?: boolean } = {}): Command {
  const fullName = parent.parent === null ? name : `${parent.name()} ${name}`;
  const lines = examples[fullName] ?? [];
  const width = Math.max(...lines.map(([line]) => line.length));
  const text = lines.map(([line, meaning]) => `  ${line.padEnd(width)}  # ${meaning}`).join("\n");
  const command = parent.command(name, options).helpOption("-h, --help", "print help");
  return command
    .addHelpText("after", `\nExamples:\n${text}`)
    .showHelpAfterError(`(spillway ${fullName} --help says what there is)`);
}

/** Options of commands that ask a running gateway. */
function remote(command: Command): Command {
  return command
    .addOption(
      new Option("--url <url>", "the gateway")
        .default("http://127.0.0.1:30080")
        .env("SPILLWAY_URL")
        .argParser(readUrl),
    )
    .addOption(new Option("--key <key>", "a key of the gateway, where it has keys").env("SPILLWAY_KEY"))
    .option("--json", "print JSON");
}
