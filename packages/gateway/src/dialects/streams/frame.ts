/** What readers of streams have in common: whole frames, cut out of chunks that break anywhere. */

/**
 * One event of a stream or one line. The object is used again for the next: what is needed later must
 * be taken during the call. The bytes themselves never change.
 */
export interface Frame {
  /** Holds the frame as it came. */
  readonly bytes: Uint8Array;
  /** The frame with its line ends: `bytes` from `start` to before `end`. */
  readonly start: number;
  readonly end: number;
  /** Holds the frame's data: `bytes`, or a copy where the data stood on several lines. */
  readonly data: Uint8Array;
  /** The data: `data` from `dataStart` to before `dataEnd`. Both 0 for a frame without data, such as a comment. */
  readonly dataStart: number;
  readonly dataEnd: number;
  /** The stream ended within this frame; what there is of it may be whole all the same. */
  readonly isTail: boolean;
  /** The name of a server-sent event; empty where it has none, absent from readers of lines. */
  readonly event?: string;
}

/** Who is told of frames. */
export interface FrameHandler<F extends Frame = Frame> {
  frame(frame: F): void;
  /** A frame is longer than the bound. The reader is not to be given more. */
  tooLong(maxBytes: number): void;
}

/** Cuts frames out of chunks. Chunks are views that never change. */
export interface FrameReader {
  push(chunk: Uint8Array): void;
  /** No more bytes follow: a last frame without its end is told as a tail. */
  end(): void;
  /** Tells no further frames, not even of the chunk at hand. */
  stop(): void;
}

/** Longest frame, bytes. The last event of OpenAI's responses repeats the whole answer with its instructions. */
export const defaultMaxFrameBytes = 4 * 1024 * 1024;

/** The beginning of a frame whose end has not come yet, copied, so that no socket's buffer is kept. */
export class FrameCarry {
  #parts: Uint8Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Keeps the chunk from `start` on. */
  hold(chunk: Uint8Array, start: number): void {
    if (start >= chunk.length) return;
    const part = new Uint8Array(chunk.subarray(start));
    this.#parts.push(part);
    this.#length += part.length;
  }

  /** What was kept and the chunk up to `end`, in one piece. Keeps nothing afterwards. */
  join(chunk: Uint8Array, end: number): Uint8Array {
    const joined = new Uint8Array(this.#length + end);
    let at = 0;
    for (const part of this.#parts) {
      joined.set(part, at);
      at += part.length;
    }
    joined.set(chunk.subarray(0, end), at);
    this.#parts = [];
    this.#length = 0;
    return joined;
  }
}
