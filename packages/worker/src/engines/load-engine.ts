/** Loads the engine a version needs. Native code is imported only when a model asks for it. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { EngineKind, ModelConfig } from "../repository/model-config.ts";
import { onnxFileName } from "../repository/file-names.ts";
import type { Engine } from "./engine.ts";

/**
 * From this size on a model runs on a thread of its own by default: it computes for a millisecond and more, beside
 * which the way to another thread (0.1 ms) and that thread's memory (10 MB) count for little.
 */
const largeBytes = 8_000_000;

/** Loads a version's model. Rejects with the reason when the model file is broken. */
export async function loadEngine(kind: EngineKind, directory: string, config: ModelConfig): Promise<Engine> {
  switch (kind) {
    case "onnx": {
      const file = join(directory, onnxFileName);
      if (runsOnOwnThread(directory, config)) {
        const { loadThreadedOnnxEngine } = await import("./threaded-onnx.ts");
        return loadThreadedOnnxEngine(file, config.onnx);
      }
      const { loadOnnxEngine } = await import("./onnx.ts");
      return loadOnnxEngine(file, config.onnx);
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

function runsOnOwnThread(directory: string, { onnx }: ModelConfig): boolean {
  if (onnx.ownThread === "auto") return modelBytes(directory) >= largeBytes;
  return onnx.ownThread === "always";
}

/** The model's file and what it keeps in files beside it, whose names begin with its own. 0 where nothing can be read. */
function modelBytes(directory: string): number {
  try {
    const names = readdirSync(directory).filter((name) => name.startsWith(onnxFileName));
    return names.reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  } catch {
    return 0;
  }
}
