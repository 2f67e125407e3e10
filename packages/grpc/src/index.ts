/** gRPC over thin HTTP/2 framing: the channel and the server that carry model calls. */
export { createChannel } from "./client-channel.ts";
export { freeMemory } from "./free-memory.ts";
export { createGrpcServer } from "./server.ts";
export { grpcStatus } from "./types.ts";
export type {
  Call,
  ChannelOptions,
  ChannelState,
  GrpcChannel,
  GrpcFailure,
  GrpcServer,
  GrpcServerOptions,
  GrpcStatusCode,
  Metadata,
  MethodHandler,
  ServerCallHead,
  StreamServerCall,
  UnaryHandler,
  UnaryRequest,
  UnaryServerCall,
} from "./types.ts";
