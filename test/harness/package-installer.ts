/** A process that installs one package and says how far it is: `node package-installer.ts JOB` with the job as JSON. */
import { systemClock } from "../../packages/gateway/src/core/clock.ts";
import type { InstallJob } from "../../packages/gateway/src/edge/updater/install-package.ts";
import { ModelInstaller } from "../../packages/gateway/src/edge/updater/model-installer.ts";

const installer = new ModelInstaller(systemClock);
installer.install(JSON.parse(process.argv[2] ?? "") as InstallJob, {
  progress: ({ received }) => process.stdout.write(`${received}\n`),
  done: (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`),
});
