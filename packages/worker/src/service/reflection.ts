/** Server reflection, v1 and v1alpha: lets grpcurl and the like list services and fetch their descriptors. */
import type { MethodHandler } from "@spillway/grpc";
import { fileDescriptors, grpc } from "@spillway/protocol";
import { isRefusal } from "../refusal.ts";
import { decodeMessage } from "./method.ts";

/** Both versions have the same messages under other names. */
const versions = { v1: grpc.reflection.v1, v1alpha: grpc.reflection.v1alpha } as const;

type Answer = grpc.reflection.v1.ServerReflectionResponse.$Properties;
type Question = grpc.reflection.v1.ServerReflectionRequest;

/** Canonical codes inside an `ErrorResponse`. */
const notFound = 5;
const unimplemented = 12;

/** Ends a stream whose reader asks on without reading. */
const exhausted = 8;

/** Answers that wait for a slow reader at most. */
const maxUnread = 64;

/** `ServerReflectionInfo`: one answer a question, in order. `services` are the names that are listed. */
export function serverReflection(version: keyof typeof versions, services: readonly string[]): MethodHandler {
  const { ServerReflectionRequest, ServerReflectionResponse } = versions[version];
  return {
    kind: "stream",
    handle(call) {
      let unread = 0;
      call.onDrain(() => (unread = 0));
      call.onMessage((message) => {
        if (unread >= maxUnread)
          return call.fail(exhausted, "answers are not read as fast as questions come");
        const question = decodeMessage(ServerReflectionRequest, message);
        if (isRefusal(question)) return call.fail(question.code, question.message);
        const reply: Answer = {
          validHost: question.host,
          originalRequest: question,
          ...answer(question, services),
        };
        if (!call.send([ServerReflectionResponse.encode(reply).finish()])) unread++;
      });
      call.onEnd(() => call.end());
    },
  };
}

function answer(question: Question, services: readonly string[]): Answer {
  switch (question.messageRequest) {
    case "listServices":
      return { listServicesResponse: { service: services.map((name) => ({ name })) } };
    case "fileByFilename":
      return fileAnswer(question.fileByFilename ?? "", (file) => file.name === question.fileByFilename);
    case "fileContainingSymbol":
      return fileAnswer(question.fileContainingSymbol ?? "", (file) =>
        file.symbols.includes(question.fileContainingSymbol ?? ""),
      );
    case "allExtensionNumbersOfType":
      return { allExtensionNumbersResponse: { baseTypeName: question.allExtensionNumbersOfType ?? "" } };
    case "fileContainingExtension":
      return error(notFound, "no message of this server has extensions");
    default:
      return error(unimplemented, "unknown kind of question");
  }
}

type File = (typeof fileDescriptors)[number];

/** The file and everything it imports, imported files after it. */
function fileAnswer(wanted: string, matches: (file: File) => boolean): Answer {
  const first = fileDescriptors.find(matches);
  if (first === undefined) return error(notFound, `unknown: ${wanted.slice(0, 200)}`);
  const found = new Set<File>([first]);
  for (const file of found) {
    for (const name of file.dependencies) {
      const imported = fileDescriptors.find((candidate) => candidate.name === name);
      if (imported !== undefined) found.add(imported);
    }
  }
  const fileDescriptorProto = [...found].map((file) => Buffer.from(file.base64, "base64"));
  return { fileDescriptorResponse: { fileDescriptorProto } };
}

function error(errorCode: number, errorMessage: string): Answer {
  return { errorResponse: { errorCode, errorMessage } };
}
