// Every decision case through both doors: the proxy, and ext_proc with a carrier that plays Envoy.
import { describe, it } from "node:test";
import { decisionCases, type OpenDoor } from "../harness/decision-cases.ts";
import { startPicker } from "../harness/extproc-picker.ts";
import { startCall } from "../harness/forward-call.ts";
import { startPooledGateway } from "../harness/pooled-gateway.ts";

const doors: Readonly<Record<string, OpenDoor>> = {
  async proxy(t, setup) {
    const gateway = await startPooledGateway(t, setup);
    return {
      gateway,
      ask({ path = "/v1/chat/completions", ...asked }) {
        const call = startCall(gateway.url, { path, ...asked });
        const answer = call.ended().then(({ status, text }) => ({ status, text }));
        return { answer, leave: () => call.leave() };
      },
    };
  },
  async ext_proc(t, setup) {
    const { gateway, carrier } = await startPicker(t, setup);
    return {
      gateway,
      ask({ path = "/v1/chat/completions", ...asked }) {
        const call = carrier.start({ path, ...asked });
        const answer = call.ended().then(({ status, text }) => ({ status, text }));
        return { answer, leave: () => call.leave() };
      },
    };
  },
};

for (const [name, open] of Object.entries(doors)) {
  describe(`asked through ${name}`, () => {
    for (const each of decisionCases) it(each.name, (t) => each.run(t, open));
  });
}
