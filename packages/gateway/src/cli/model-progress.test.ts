import assert from "node:assert/strict";
import { test } from "node:test";
import type { ModelStatus } from "../contracts/models.ts";
import { ModelProgress } from "./model-progress.ts";

function status(name: string, state: ModelStatus["state"], reason = "", wanted = 1): ModelStatus {
  return { pool: "local", name, version: "1", state, reason, instances: { wanted, ready: 0 } };
}

function progress(interactive: boolean) {
  const printed: string[] = [];
  const model = new ModelProgress({ interactive, print: (text) => void printed.push(text) });
  /** What was printed since the last look. */
  const update = (...models: ModelStatus[]) => {
    model.update(models);
    return printed.splice(0).join("");
  };
  const settled = () => {
    model.settled();
    return printed.splice(0).join("");
  };
  return { model, update, settled };
}

test("each version is told once, when it is ready or has failed", () => {
  const { model, update } = progress(false);
  assert.equal(update(status("iris", "LOADING"), status("digits", "LOADING")), "");
  assert.equal(update(status("iris", "READY"), status("digits", "LOADING")), "  ready   iris 1\n");
  assert.deepEqual(model.readyNames, ["iris"]);
  assert.equal(
    update(status("iris", "READY"), status("digits", "UNAVAILABLE", "no file\nat all")),
    "  failed  digits 1: no file\n          at all\n",
  );
  assert.equal(update(status("iris", "READY"), status("digits", "UNAVAILABLE", "no file\nat all")), "");
  assert.equal(
    update(status("iris", "READY"), status("digits", "READY", "", 2)),
    "  ready   digits 1 (2 instances)\n",
  );
  assert.deepEqual(model.readyNames, ["iris", "digits"]);
});

test("one that was ready and is not for a moment is no news, its problem on disk is", () => {
  const { update } = progress(false);
  update(status("iris", "READY"));
  assert.equal(update(status("iris", "UNAVAILABLE", "no instance is running")), "");
  assert.equal(update(status("iris", "READY")), "");
  assert.equal(
    update(status("iris", "READY", "the new file is broken")),
    "  stays   iris 1: the new file is broken\n",
  );
});

test("one that went and came again is told again", () => {
  const { update } = progress(false);
  update(status("iris", "READY"));
  update();
  assert.equal(update(status("iris", "READY")), "  ready   iris 1\n");
});

test("a terminal's last line names what still loads, and goes when all is told", () => {
  const { update, settled } = progress(true);
  const clear = "\r\u001B[2K";
  assert.equal(update(status("a", "LOADING"), status("b", "LOADING")), "  loading a, b …");
  assert.equal(update(status("a", "READY"), status("b", "LOADING")), `${clear}  ready   a 1\n  loading b …`);
  assert.equal(update(status("a", "READY"), status("b", "READY")), `${clear}  ready   b 1\n`);
  assert.equal(settled(), "");
  const many = Array.from({ length: 30 }, (_, index) => status(`model-${index}`, "LOADING"));
  assert.equal(progress(true).update(...many), "  loading 30 models …");
  assert.equal(update(status("a", "READY"), status("b", "LOADING")), "", "after that only news are told");
});
