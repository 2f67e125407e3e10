/**
 * Turns off what ONNX Runtime would tell its makers: builds for Linux keep events in the home and temporary folders
 * and send them to OneCollector unless this variable is set when the library starts. Imported before it. An operator's
 * own setting stays.
 */
process.env["ORT_DISABLE_TELEMETRY"] ??= "1";
