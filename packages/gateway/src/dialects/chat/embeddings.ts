/** The neutral model of embeddings. */

/** A request for vectors of texts. */
export interface EmbeddingsRequest {
  /** The model's name as the caller wrote it. */
  readonly model: string;
  /** At least one. */
  readonly input: readonly string[];
  /** Length of the vectors; undefined: the model's own. */
  readonly dimensions: number | undefined;
  /** Texts longer than the model takes are cut; undefined: the server's choice. */
  readonly truncate: boolean | undefined;
}

/** Vectors in the order of the texts. */
export interface EmbeddingsAnswer {
  readonly vectors: readonly (readonly number[])[];
  /** Undefined where the server does not tell. */
  readonly promptTokens: number | undefined;
}
