/** Names of the files that a model repository is made of. */

/** The configuration of a model, and of one version where it differs. */
export const configFileName = "model.yaml";

/** What the onnx engine loads. */
export const onnxFileName = "model.onnx";
