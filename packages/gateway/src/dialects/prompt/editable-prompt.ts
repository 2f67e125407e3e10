/** The prompt of one payload, and what rules have changed in it. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { PromptEdit, TokenEstimate } from "../../core/forward.ts";
import { inTurns, readAtOnceBytes } from "../json/in-turns.ts";
import { editBody, type Edit, type EditedBody } from "../json/replace-span.ts";
import { bytesPerToken } from "../streams/estimate-tokens.ts";
import { noChanges, promptEdits, withEdit, type PromptChanges } from "./prompt-edits.ts";
import { readPromptOutline, type PromptOutline } from "./prompt-outline.ts";
import type { PromptShape } from "./prompt-shape.ts";

/** What was found of a body; shared by the payload and those that are made of it. */
interface Found {
  outline: PromptOutline | Failure | undefined;
}

/** Reads the body when it is first asked to. Edits are kept apart from its bytes until it is sent. */
export class EditablePrompt {
  readonly #bytes: Uint8Array;
  readonly #shape: PromptShape;
  readonly #found: Found;
  readonly #changes: PromptChanges;
  /** To be made in the body; they do not overlap. */
  readonly edits: readonly Edit[];

  constructor(
    bytes: Uint8Array,
    shape: PromptShape,
    made?: { readonly found: Found; readonly changes: PromptChanges; readonly edits: readonly Edit[] },
  ) {
    this.#bytes = bytes;
    this.#shape = shape;
    this.#found = made?.found ?? { outline: undefined };
    this.#changes = made?.changes ?? noChanges;
    this.edits = made?.edits ?? [];
  }

  /** As `ForwardPayload.readPrompt`. */
  read(): PromptOutline | Failure | Promise<PromptOutline | Failure> {
    const found = this.#found;
    if (found.outline !== undefined) return found.outline;
    const reading = readPromptOutline(this.#bytes, this.#shape);
    if (this.#bytes.length > readAtOnceBytes) {
      return inTurns(reading).then((outline) => (found.outline = outline));
    }
    let step = reading.next();
    while (step.done !== true) step = reading.next();
    found.outline = step.value;
    return step.value;
  }

  /** The prompt with one more change; a failure (400) where there is no place for it. Only once it was read. */
  edited(edit: PromptEdit): EditablePrompt | Failure {
    const outline = this.#found.outline ?? (this.#bytes.length > readAtOnceBytes ? undefined : this.read());
    if (outline === undefined || outline instanceof Promise) {
      return failure("internal", "The body is to be read before it is edited");
    }
    if (isFailure(outline)) return outline;
    const changes = withEdit(this.#changes, edit);
    const edits = promptEdits(outline, changes);
    if (isFailure(edits)) return edits;
    return new EditablePrompt(this.#bytes, this.#shape, { found: this.#found, changes, edits });
  }

  /** The body as it is to be translated. */
  get body(): EditedBody {
    return this.edits.length === 0 ? { body: this.#bytes } : editBody(this.#bytes, this.edits);
  }

  /** The estimate with what was added and left out. */
  estimate(before: TokenEstimate): TokenEstimate {
    let bytes = 0;
    for (const { start, end, text } of this.edits) bytes += Buffer.byteLength(text) - (end - start);
    if (bytes === 0) return before;
    const promptTokens = Math.max(0, before.promptTokens + Math.ceil(bytes / bytesPerToken));
    return { ...before, promptTokens };
  }

  /** Parts of the body with the edits made in them: views where there are none. */
  partsOf(parts: readonly Uint8Array[]): readonly Uint8Array[] {
    if (this.edits.length === 0) return parts;
    return parts.flatMap((part) => this.#editedPart(part));
  }

  #editedPart(part: Uint8Array): readonly Uint8Array[] {
    const from = part.byteOffset - this.#bytes.byteOffset;
    const to = from + part.length;
    const inside = this.edits.filter(({ start, end }) => start >= from && end <= to);
    if (inside.length === 0) return [part];
    const moved = inside.map(({ start, end, text }) => ({ start: start - from, end: end - from, text }));
    const { body, rest = [] } = editBody(part, moved);
    return [body, ...rest];
  }
}
