/** Starts a simulated Groundlight cloud. */
import { startSimulator } from "../start-simulator.ts";
import type { Simulator, SimulatorOptions } from "../start-simulator.ts";
import type { CloudInspection } from "./cloud.ts";
import type { CloudOptions } from "./cloud-options.ts";

/** A running cloud: the simulator, and what it was sent. */
export interface CloudSimulator extends Simulator {
  readonly cloud: CloudInspection;
}

/** `startSimulator` with the face `groundlight`. Rejects when the port is taken. */
export async function startCloud(
  cloud: CloudOptions = {},
  server: Pick<SimulatorOptions, "port" | "host" | "faults" | "seed" | "clock" | "timeScale" | "record"> = {},
): Promise<CloudSimulator> {
  const simulator = await startSimulator({ ...server, face: "groundlight", cloud });
  const { cloud: inspection } = simulator;
  if (inspection === undefined) throw new Error("the face groundlight has a cloud");
  return { ...simulator, cloud: inspection };
}
