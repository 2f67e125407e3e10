/** Detectors that work at the first start, over the model `digits` that comes with Spillway. */
import type { EdgeDetectorOptions } from "../contracts/edge-options.ts";
import type { Detector } from "../core/detector.ts";

const digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const shared = {
  groupName: "Default",
  confidenceThreshold: 0.9,
  patienceTime: 30,
  createdAt: "2026-01-01T00:00:00.000Z",
  status: "ON",
  escalationType: "STANDARD",
  metadata: null,
  origin: "configuration",
} as const satisfies Partial<Detector>;

/** "Which digit is this?" */
const whichDigit: Detector = {
  ...shared,
  id: "det_WhichDigitIsThis00000000000",
  name: "which-digit",
  query: "Which digit is this?",
  mode: "MULTI_CLASS",
  modeConfiguration: { classNames: digits },
};

/** "Is this a seven?" */
const isSeven: Detector = {
  ...shared,
  id: "det_IsThisASeven000000000000000",
  name: "is-seven",
  query: "Is this a seven?",
  mode: "BINARY",
  modeConfiguration: {},
};

/** Both, with the model that answers them. */
export const builtinDetectors: readonly Pick<EdgeDetectorOptions, "id" | "detector" | "model">[] = [
  {
    id: whichDigit.id,
    detector: whichDigit,
    model: { name: "digits", version: undefined, outOfDomain: undefined, labels: {} },
  },
  {
    id: isSeven.id,
    detector: isSeven,
    model: { name: "digits", version: undefined, outOfDomain: undefined, labels: { yes: ["7"] } },
  },
];
