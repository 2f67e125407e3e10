/** Bodies too large to be kept: handed on as they arrive. */

/** A body on its way in. Whoever ends the request ends it too: nothing is called when its sender leaves. */
export interface BodyStream {
  /** Bytes in all, as announced; undefined where the sender does not say. */
  readonly length: number | undefined;
  /** Begins to hand the body over. To be called once. */
  read(sink: BodyStreamSink): void;
  /** No piece is handed over until `resume`. Idempotent. */
  pause(): void;
  /** May hand over what is held before it returns. Idempotent. */
  resume(): void;
}

/** Where a body goes: any number of pieces, then `end`. */
export interface BodyStreamSink {
  /** A view that never changes afterwards. */
  data(piece: Uint8Array): void;
  end(): void;
}
