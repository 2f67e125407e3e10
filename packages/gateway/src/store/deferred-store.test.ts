import assert from "node:assert/strict";
import { test } from "node:test";
import type { EdgeStore, PictureToStore } from "../contracts/edge-store.ts";
import { failure, type Failure } from "../core/errors.ts";
import { createManualClock } from "../testing.ts";
import { DeferredStore } from "./deferred-store.ts";

const picture = (): PictureToStore => ({ bytes: new Uint8Array(3).fill(7), mediaType: "image/png" });

function deferred() {
  const opening = Promise.withResolvers<EdgeStore | Failure>();
  const offered: string[] = [];
  const inner = {
    offerPicture: (id: string, { bytes }: PictureToStore) => offered.push(`${id} ${bytes.join("")}`) > 0,
    close: () => Promise.resolve(),
  };
  const store = new DeferredStore({
    open: () => opening.promise,
    clock: createManualClock(),
    onState: () => undefined,
  });
  return { store, offered, opening, inner: inner as unknown as EdgeStore };
}

test("the first picture waits for the store to open, as it was; others are passed over until then", async () => {
  const { store, offered, opening, inner } = deferred();
  const first = picture();
  assert.equal(store.offerPicture("iq_1", first), true);
  first.bytes.fill(0);
  assert.equal(store.offerPicture("iq_2", picture()), false);
  opening.resolve(inner);
  assert.equal(await store.open(), undefined);
  assert.equal(store.offerPicture("iq_3", picture()), true);
  assert.deepEqual(offered, ["iq_1 777", "iq_3 777"]);
});

test("a store that cannot be opened keeps no picture, and none waits while it is not tried again", async () => {
  const { store, offered, opening } = deferred();
  assert.equal(store.offerPicture("iq_1", picture()), true);
  opening.resolve(failure("storage_unavailable", "read-only"));
  await store.open();
  assert.equal(store.offerPicture("iq_2", picture()), false);
  assert.deepEqual(offered, []);
});
