// docs/reference/cli.md.
import type { Argument, Command, Option } from "commander";
import { exitCodes } from "../../../packages/gateway/src/cli/exit-codes.ts";
import { examples } from "../../../packages/gateway/src/cli/examples.ts";
import { createProgram } from "../../../packages/gateway/src/cli/program.ts";
import { banner, code, table } from "./markdown.ts";

/** The commands as they are defined, nothing run. */
export function definedProgram(): Command {
  const nowhere = {
    print: () => {},
    complain: () => {},
    interactive: false,
    interactiveErrors: false,
    environment: {},
    workingDirectory: "/",
    onStop: () => {},
    exit: (code: number): never => {
      throw new Error(`a definition ended the process with ${code}`);
    },
  };
  return createProgram({ terminal: nowhere, done: () => {} });
}

/** Every command that runs something, with its full name. */
export function listCommands(
  command: Command,
  prefix = "",
): { readonly name: string; readonly command: Command }[] {
  return command.commands.flatMap((each) => {
    const name = `${prefix}${each.name()}`;
    return [{ name, command: each }, ...listCommands(each, `${name} `)];
  });
}

/** The page of the command line. */
export function cliPage(): string {
  const program = definedProgram();
  const codes = Object.values(exitCodes).map(({ code: number, meaning }) => [String(number), meaning]);
  const sections = listCommands(program).map(({ name, command }) => section(name, command));
  return `${banner}# The command line

${program.description()}. \`spillway help COMMAND\` prints what is here; \`spillway --version\` the version.
\`npm start -- OPTIONS\` in a checkout is \`spillway serve OPTIONS\`.

${table(["Exit code", "Meaning"], codes)}
\`SPILLWAY_DEBUG=1\` prints the stack trace of an error that ends a command. \`NO_COLOR\` switches colours off.

${sections.join("\n")}`;
}

function section(name: string, command: Command): string {
  const usage = `spillway ${name} ${command.usage()}`.replace("[options] [command]", "[command]");
  const parts = [
    `## ${code(`spillway ${name}`)}\n`,
    `${command.description()}.\n`,
    `\`\`\`sh\n${usage}\n\`\`\`\n`,
  ];
  if (command.registeredArguments.length > 0) {
    parts.push(table(["Argument", "Meaning"], command.registeredArguments.map(argumentRow)));
  }
  const options = command.options.filter((option) => !option.hidden);
  if (options.length > 0) parts.push(table(["Option", "Meaning"], options.map(optionRow)));
  const lines = examples[name] ?? [];
  if (lines.length > 0) parts.push(`\`\`\`sh\n${exampleLines(lines)}\`\`\`\n`);
  return parts.join("\n");
}

function exampleLines(lines: readonly (readonly [string, string])[]): string {
  const width = Math.max(...lines.map(([line]) => line.length));
  return lines.map(([line, meaning]) => `${line.padEnd(width)}  # ${meaning}\n`).join("");
}

function argumentRow(argument: Argument): string[] {
  const name = argument.name();
  return [code(argument.required ? `<${name}>` : `[${name}]`), argument.description];
}

function optionRow(option: Option): string[] {
  const details = [
    ...(option.mandatory ? ["has to be given"] : []),
    ...(option.argChoices === undefined ? [] : [`one of ${option.argChoices.map(code).join(", ")}`]),
    ...(option.defaultValue === undefined || option.negate
      ? []
      : [`default ${code(String(option.defaultValue))}`]),
    ...(option.envVar === undefined ? [] : [`or ${code(option.envVar)} in the environment`]),
  ];
  return [code(option.flags), [option.description, ...details].join("; ")];
}
