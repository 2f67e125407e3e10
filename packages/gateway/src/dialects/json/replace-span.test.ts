/** Edits of a body: every other byte stays, and many bytes are shared rather than joined. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { editBody } from "./replace-span.ts";

test("edits are made in their places, whatever their order", () => {
  for (const padding of ["", "x".repeat(300_000)]) {
    const text = `{"model":"a","stream":true,"pad":"${padding}"}`;
    const bytes = Buffer.from(text);
    const place = (old: string) => ({ start: text.indexOf(old), end: text.indexOf(old) + old.length });
    const { body, rest = [] } = editBody(bytes, [
      { ...place("true"), text: "false" },
      { ...place('"a"'), text: '"longer"' },
      { start: 1, end: 1, text: '"first":0,' },
    ]);
    const expected = `{"first":0,"model":"longer","stream":false,"pad":"${padding}"}`;
    assert.equal(Buffer.concat([body, ...rest]).toString(), expected);
    assert.equal(rest.length > 0, padding !== "");
    assert.equal(rest.at(-1)?.buffer === bytes.buffer, padding !== "");
    assert.equal(bytes.toString(), text);
  }
});
