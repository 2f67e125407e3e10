/** Loads the engine a version needs. Native code is imported only when a model asks for it. */
import { join } from "node:path";
import type { EngineKind, ModelConfig } from "../repository/model-config.ts";
import { onnxFileName } from "../repository/file-names.ts";
import type { Engine } from "./engine.ts";

/** Loads a version's model. Rejects with the reason when the model file is broken. */
export async function loadEngine(kind: EngineKind, directory: string, config: ModelConfig): Promise<Engine> {
  switch (kind) {
    case "onnx": {
      const { loadOnnxEngine } = await import("./onnx.ts");
      return loadOnnxEngine(join(directory, onnxFileName), config.onnx);
    }
    case "text": {
      const { createTextEngine } = await import("./text.ts");
      return createTextEngine(config.input.prompt);
    }
    case "mock": {
      const { createMockEngine } = await import("./mock.ts");
      return createMockEngine(config.mock, config.input);
    }
  }
}
