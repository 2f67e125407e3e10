/** Examples of the command line, by command as full names such as `models load`: the line, and what it does. */
export const examples: Readonly<Record<string, readonly (readonly [line: string, meaning: string])[]>> = {
  serve: [
    ["spillway serve", "the models in ./models, or those that come with Spillway"],
    ["spillway serve --models ./my-models --port 8000", "your models, on another port"],
    ["spillway serve --config spillway.yaml --log-format json", "as a service"],
  ],
  picker: [
    ["spillway picker --config-file picker.yaml", "with the endpoints of a file (file-discovery)"],
    ["spillway picker --endpoints 10.0.0.5:8000,10.0.0.6:8000 --secure-serving=false", "without a file"],
  ],
  worker: [
    ["spillway worker --models ./models", "gRPC on 127.0.0.1:50051"],
    ["spillway worker --models ./models --host 0.0.0.0 --port 8001", "for gateways on other machines"],
  ],
  check: [
    ["spillway check --config spillway.yaml", "before a restart"],
    ["spillway check --json | jq .errors", "in a pipeline"],
    [
      "spillway check --config-file picker.yaml --scenario busy.yaml",
      "which endpoint a picker would name, and why",
    ],
  ],
  keys: [["spillway keys", "the same as: spillway keys list"]],
  "keys create": [
    ["spillway keys create --id line-3", "may ask models"],
    [
      "spillway keys create --id ci --scopes infer,status,admin --expires 2027-01-31",
      "may do all, for a while",
    ],
    ["spillway keys create --id app --requests-per-minute 600 --concurrency 8", "with limits"],
  ],
  "keys list": [["spillway keys list", "ids, scopes and limits, never secrets"]],
  "keys revoke": [["spillway keys revoke line-3", "refused within 2 seconds, without a restart"]],
  models: [["spillway models", "the same as: spillway models list"]],
  "models list": [["spillway models list", "every version and its state"]],
  "models load": [["spillway models load digits", "loads it, or what changed of it on disk"]],
  "models unload": [["spillway models unload digits", "takes it out of service"]],
  "models stats": [["spillway models stats digits", "requests, rows, batches and times of one model"]],
  predict: [
    ["spillway predict iris --features 5.1,3.5,1.4,0.2", "numbers"],
    ['spillway predict sentiment --prompt "I love it"', "a text"],
    ["spillway predict digits --image models/digits/samples/7.png", "a picture"],
  ],
  calibrate: [
    ["spillway calibrate det_WhichDigitIsThis00000000000", "fits, and tells the threshold and what it does"],
    ["spillway calibrate det_WhichDigitIsThis00000000000 --show", "tells, and fits nothing"],
  ],
  engines: [["spillway engines", "the same as: spillway engines list"]],
  "engines list": [["spillway engines list", "what is installed, and where"]],
  "engines add": [["spillway engines add llama", "serve GGUF files; about 90 MB from the package registry"]],
  "engines remove": [["spillway engines remove llama", "frees the disk again"]],
  simulate: [
    ["spillway simulate --face ollama --port 11434 --model llama3.2", "an Ollama that needs no GPU"],
    ["spillway simulate --preset vllmQwen7b --port 8000", "a vLLM with the speed of a real one"],
    ["spillway simulate --face vllm --fault cutAfterEvents=5,probability=0.1", "one stream in ten breaks"],
    [
      "spillway simulate --face groundlight --key api_test --model door",
      "a Groundlight cloud with one detector",
    ],
  ],
  doctor: [["spillway doctor", "is this machine ready?"]],
};
