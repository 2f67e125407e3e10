/** What the client `openai` makes of refusals. */
import assert from "node:assert/strict";
import { BadRequestError } from "openai";

/** A 400 that names the field, in `param` and in words. */
export function isBadRequest(field: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof BadRequestError, String(error));
    assert.equal(error.param, field);
    assert.ok(error.message.includes(field), error.message);
    return true;
  };
}
