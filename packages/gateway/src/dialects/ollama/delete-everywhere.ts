/** `DELETE /api/delete` on every server of a pool. */
import type { ServerCall, ServerError, ServerHandler } from "../../contracts/connection.ts";
import type { HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { StreamedAnswer } from "../../contracts/route.ts";
import type { Exchange, ResponseSink } from "../../contracts/sink.ts";
import { readErrorText } from "./answer-parts.ts";
import { writeOllamaRefusal } from "./write-answer.ts";

/** Deletes on all endpoints at once. It is well when a server had the model and none that has it failed. */
export function deleteEverywhere(endpoints: readonly HttpEndpoint[], body: Uint8Array): StreamedAnswer {
  return { carry: (sink) => new MergedDelete(endpoints, body, sink) };
}

/** Longest body of a refusal that is read for its text. */
const maxTextBytes = 65_536;

/** How one server answered. */
interface Deletion {
  readonly endpoint: HttpEndpoint;
  readonly status: number;
  readonly text: string;
}

class MergedDelete implements Exchange {
  readonly #sink: ResponseSink;
  readonly #calls: readonly ServerCall[];
  readonly #results: Deletion[] = [];
  #hasLeft = false;

  constructor(endpoints: readonly HttpEndpoint[], body: Uint8Array, sink: ResponseSink) {
    this.#sink = sink;
    const headers = [["content-type", "application/json"]] as const;
    const request = { method: "DELETE", path: "/api/delete", headers, body } as const;
    const settled = (result: Deletion): void => {
      this.#results.push(result);
      if (this.#results.length === endpoints.length && !this.#hasLeft) this.#end();
    };
    const done = (result: Deletion): void => result.endpoint.refresh(() => settled(result));
    this.#calls = endpoints.map((endpoint) => {
      return endpoint.connection.send(request, new ServerDelete(endpoint, done));
    });
  }

  resume(): void {}

  cancel(): void {
    this.#hasLeft = true;
    for (const call of this.#calls) call.cancel();
  }

  #end(): void {
    const results = this.#results;
    const failed = results.filter(({ status }) => status >= 300 && status !== 404);
    const [missing] = results;
    if (failed.length > 0) {
      const texts = failed.map(({ endpoint, text }) => `${endpoint.id}: ${text}`).join("; ");
      const text = `delete failed on ${failed.length} of ${results.length} servers: ${texts}`;
      return this.#sink.whole(writeOllamaRefusal(502, text));
    }
    if (missing !== undefined && results.every(({ status }) => status === 404)) {
      return this.#sink.whole(writeOllamaRefusal(404, missing.text));
    }
    this.#sink.whole({ status: 200, headers: [], body: [] });
  }
}

class ServerDelete implements ServerHandler {
  readonly #endpoint: HttpEndpoint;
  readonly #done: (result: Deletion) => void;
  #status = 502;
  #body: Buffer = Buffer.alloc(0);

  constructor(endpoint: HttpEndpoint, done: (result: Deletion) => void) {
    this.#endpoint = endpoint;
    this.#done = done;
  }

  head(status: number): void {
    this.#status = status;
  }

  data(chunk: Uint8Array): void {
    if (this.#body.length < maxTextBytes) this.#body = Buffer.concat([this.#body, chunk]);
  }

  end(): void {
    const status = this.#status;
    const text = readErrorText(this.#body) ?? `answered ${status}`;
    this.#done({ endpoint: this.#endpoint, status, text });
  }

  failed({ message }: ServerError): void {
    this.#done({ endpoint: this.#endpoint, status: 502, text: message });
  }
}
