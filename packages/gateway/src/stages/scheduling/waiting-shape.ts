/** What requests in line have in common that may go to the same endpoints: written as one text, the line's shape key. */
import type { HttpEndpoint } from "../../contracts/http-endpoint.ts";
import { AddressSubset } from "../../core/address-subset.ts";
import { failure, type Failure } from "../../core/errors.ts";

/** The model, and the servers that the request is limited to. */
export interface WaitingShape {
  readonly model: string;
  readonly only: AddressSubset | undefined;
}

/** Names of models hold no such character. */
const separator = "\0";

/** The shape as a text. */
export function writeShape({ model, only }: WaitingShape): string {
  return only === undefined ? model : `${model}${separator}${only.key}`;
}

/** The reverse of `writeShape`. */
export function readShape(text: string): WaitingShape {
  const at = text.indexOf(separator);
  if (at < 0) return { model: text, only: undefined };
  return { model: text.slice(0, at), only: AddressSubset.ofKey(text.slice(at + 1)) };
}

/** The endpoints that the request is not kept from. */
export function admitted(
  endpoints: readonly HttpEndpoint[],
  only: AddressSubset | undefined,
): readonly HttpEndpoint[] {
  return only === undefined ? endpoints : endpoints.filter(({ address }) => only.admits(address));
}

/** What a request gets that is limited to servers which do not have the model. */
export function noneAdmitted(): Failure {
  return failure("no_endpoints", "failed to find endpoint candidates for serving the request");
}
