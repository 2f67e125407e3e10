// Generated from proto/ by scripts/generate-protocol.ts. Do not edit.

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
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
}

/** Every file in proto/; imported files come before those that import them. */
export const fileDescriptors: readonly FileDescriptor[];

/** Every method of every service in proto/. */
export const methods: readonly MethodDescriptor[];
