/**
 * @spillway/simulator: servers that behave like Ollama, vLLM, OpenAI's and Anthropic's under load, and like
 * Groundlight's cloud, with faults on demand, for tests, benchmarks and demos.
 */
export { startSimulator } from "./start-simulator.ts";
export type { Simulator, SimulatorOptions } from "./start-simulator.ts";
export { presets } from "./presets.ts";
export type { Preset, PresetName } from "./presets.ts";
export { faceNames } from "./faces/face.ts";
export type { FaceName } from "./faces/face.ts";
export type { ModelSpec } from "./model-spec.ts";
export { faultFields, parseFault } from "./server/fault.ts";
export type { Fault, FaultPlan } from "./server/fault.ts";
export type { RequestEnd, RequestLog, RequestRecord } from "./server/request-log.ts";
export type { SimulatorState } from "./server/control.ts";
export { fullPage } from "./faces/vllm/full-page.ts";
export type { FullPageValues } from "./faces/vllm/full-page.ts";
export type { AnswerWish } from "./text/answer.ts";
export { startCloud } from "./cloud/start-cloud.ts";
export type { CloudSimulator } from "./cloud/start-cloud.ts";
export { parseCloudOptions } from "./cloud/parse-cloud-options.ts";
export type { CloudInspection, CloudMetrics } from "./cloud/cloud.ts";
export type {
  CloudAnswer,
  CloudDetectorSpec,
  CloudMode,
  CloudModel,
  CloudOptions,
  CloudQuestion,
  CloudRoi,
  CloudTokenSpec,
} from "./cloud/cloud-options.ts";
export type { CloudDetector } from "./cloud/detectors.ts";
export type { CloudLabel, CloudQuery } from "./cloud/records.ts";
export { checkWords, textOf, wordAt } from "./text/words.ts";
export type { Alphabet, WordReport } from "./text/words.ts";

// The engine alone, for simulations without sockets.
export { createVirtualClock, scaleClock, systemClock } from "./clock.ts";
export type { Clock, Timer, VirtualClock } from "./clock.ts";
export { createRandom } from "./random.ts";
export type { Random } from "./random.ts";
export { Engine } from "./engine/engine.ts";
export type { EngineCounters, EngineObserver } from "./engine/engine.ts";
export { quickEngine } from "./engine/options.ts";
export type { EngineOptions } from "./engine/options.ts";
export { promptOfSegments, promptOfText } from "./engine/prompt.ts";
export type { Prompt, Segment } from "./engine/prompt.ts";
export type { Sequence, SequenceListener, SequenceRequest } from "./engine/sequence.ts";
