/** Every figure, in the order in which they run and are told. */
import type { Figure } from "../harness/figure.ts";
import { figure as calibration } from "./calibration.ts";
import { figure as chatCancel } from "./chat-cancel.ts";
import { figure as chatFirstToken } from "./chat-first-token.ts";
import { figure as chatKill } from "./chat-kill.ts";
import { figure as chatLatency } from "./chat-latency.ts";
import { figure as chatProxy } from "./chat-proxy.ts";
import { figure as chatStreams } from "./chat-streams.ts";
import { figure as edgeCloudAway } from "./edge-cloud-away.ts";
import { figure as edgeLatency } from "./edge-latency.ts";
import { figure as edgeMemory } from "./edge-memory.ts";
import { figure as edgeOutbox } from "./edge-outbox.ts";
import { figure as edgePicture } from "./edge-picture.ts";
import { figure as edgeSwap } from "./edge-swap.ts";
import { figure as extProc } from "./ext-proc.ts";
import { figure as fleetChat } from "./fleet-chat.ts";
import { figure as fleetOverload } from "./fleet-overload.ts";
import { figure as fleetProfiles } from "./fleet-profiles.ts";
import { figure as fleetTrust } from "./fleet-trust.ts";
import { figure as flowControl } from "./flow-control.ts";
import { figure as generator } from "./generator.ts";
import { figure as identity602k } from "./identity-602k.ts";
import { figure as kill } from "./kill.ts";
import { figure as latencyOneConnection } from "./latency-one-connection.ts";
import { figure as memory } from "./memory.ts";
import { figure as mix } from "./mix.ts";
import { figure as mlp2048Binary } from "./mlp2048-binary.ts";
import { figure as mlp64Json } from "./mlp64-json.ts";
import { figure as pickerCycle } from "./picker-cycle.ts";
import { figure as pickerIdle } from "./picker-idle.ts";
import { figure as poison } from "./poison.ts";
import { figure as prefixHash } from "./prefix-hash.ts";

/** The figures. Those of the product first, then the one that the measuring itself is held to. */
export const figures: readonly Figure[] = [
  mlp64Json,
  mlp2048Binary,
  identity602k,
  latencyOneConnection,
  memory,
  kill,
  mix,
  poison,
  chatProxy,
  chatLatency,
  chatStreams,
  chatFirstToken,
  chatCancel,
  chatKill,
  calibration,
  edgePicture,
  edgeLatency,
  edgeCloudAway,
  edgeMemory,
  edgeOutbox,
  edgeSwap,
  extProc,
  fleetTrust,
  fleetChat,
  fleetOverload,
  fleetProfiles,
  pickerIdle,
  pickerCycle,
  prefixHash,
  flowControl,
  generator,
];
