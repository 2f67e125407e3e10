/** Entry of the installing thread: downloads, hashes and unpacks, several packages at once, away from the gateway's loop. */
import { parentPort } from "node:worker_threads";
import { systemClock } from "../../core/clock.ts";
import { installPackage, type Installed, type InstallJob, type InstallProgress } from "./install-package.ts";
import type { TransferFailure } from "./transfer-failure.ts";

/** What the thread is told. */
export type ToInstaller =
  | { readonly kind: "install"; readonly place: number; readonly job: InstallJob }
  | { readonly kind: "cancel"; readonly place: number };

/** What the thread says. */
export type FromInstaller =
  | { readonly kind: "progress"; readonly place: number; readonly progress: InstallProgress }
  | { readonly kind: "done"; readonly place: number; readonly answer: Installed | TransferFailure };

/** Progress of one package is told at most so often, ms. */
const progressEveryMs = 200;

function serve(say: (message: FromInstaller) => void): (message: ToInstaller) => void {
  const running = new Map<number, AbortController>();
  return (message) => {
    const { place } = message;
    if (message.kind === "cancel") return running.get(place)?.abort();
    const controller = new AbortController();
    running.set(place, controller);
    let toldAt = -Infinity;
    let phase = "";
    const onProgress = (progress: InstallProgress): void => {
      const now = systemClock.now();
      if (progress.phase === phase && now - toldAt < progressEveryMs) return;
      ({ phase } = progress);
      toldAt = now;
      say({ kind: "progress", place, progress });
    };
    const options = { clock: systemClock, signal: controller.signal, onProgress };
    void installPackage(message.job, options).then((answer) => {
      running.delete(place);
      say({ kind: "done", place, answer });
    });
  };
}

const port = parentPort;
// `sleep` does not keep a thread alive; the port does.
if (port !== null)
  port.on(
    "message",
    serve((message) => port.postMessage(message)),
  );
