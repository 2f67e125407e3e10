import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { EngineMapping, MetricMapping } from "../../contracts/plugins/data.ts";
import { createSignals, type ServerSignals } from "../../core/server-signals.ts";
import { builtInEngines, mappingOf } from "./engine-mappings.ts";
import { SignalReader, type NeededSignal } from "./signal-reader.ts";

const everything: readonly NeededSignal[] = [
  "waiting",
  "running",
  "kvUsage",
  "blockTokens",
  "blocks",
  "adapters",
  "custom",
];

function pageOf(text: string): Buffer {
  return Buffer.from(`\n${text}`);
}

/** A reader with the signals it fills. */
function readerFor(
  engine: string | EngineMapping,
  needs = everything,
): { readonly reader: SignalReader; readonly signals: ServerSignals } {
  const mapping = typeof engine === "string" ? mappingOf(engine, []) : engine;
  assert.ok(mapping !== undefined);
  const signals = createSignals();
  return { reader: new SignalReader(mapping, needs, signals), signals };
}

/** What one page tells. */
function tell(engine: string | EngineMapping, text: string): ServerSignals {
  const { reader, signals } = readerFor(engine);
  reader.read(pageOf(text), 1_000);
  return signals;
}

function custom(mapping: Partial<MetricMapping> & Pick<MetricMapping, "metric">): EngineMapping {
  return { engine: "own", metrics: [{ signal: "custom:it", labels: {}, ...mapping }] };
}

const vllmPage = `# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 9.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 12.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 3.0
# HELP vllm:num_requests_waiting_by_reason Number of waiting requests by reason.
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 77.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.4375
# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cache_dtype="auto",num_cpu_blocks="None",num_gpu_blocks="27412"} 1.0
# HELP vllm:lora_requests_info Running stats on lora requests.
# TYPE vllm:lora_requests_info gauge
vllm:lora_requests_info{max_lora="4",running_lora_adapters="old",waiting_lora_adapters=""} 1.7633e+09
vllm:lora_requests_info{max_lora="4",running_lora_adapters="sql, chat",waiting_lora_adapters="late"} 1.763300001e+09
vllm:lora_requests_info{max_lora="4",running_lora_adapters="older",waiting_lora_adapters=""} 1.7632e+09
`;

describe("makes that are built in", () => {
  test("vLLM", () => {
    const signals = tell("vllm", vllmPage);
    assert.equal(signals.waiting, 3);
    assert.equal(signals.running, 12);
    assert.equal(signals.kvUsage, 0.4375);
    assert.equal(signals.blockTokens, 16);
    assert.equal(signals.blocks, 27_412);
    assert.equal(signals.maxAdapters, 4);
    assert.deepEqual(signals.runningAdapters, ["sql", "chat"]);
    assert.deepEqual(signals.waitingAdapters, ["late"]);
    assert.equal(signals.updatedAt, 1_000);
    assert.deepEqual(signals.told, { waiting: 1_000, running: 1_000, kvUsage: 1_000, adapters: 1_000 });
  });

  test("vLLM's older name of the cache's use counts where the newer one is not there", () => {
    assert.equal(tell("vllm", 'vllm:gpu_cache_usage_perc{m="x"} 0.25\n').kvUsage, 0.25);
    const both = "vllm:gpu_cache_usage_perc 0.25\nvllm:kv_cache_usage_perc 0.5\n";
    assert.equal(tell("vllm", both).kvUsage, 0.5);
  });

  test("SGLang", () => {
    const signals = tell(
      "sglang",
      `sglang:num_queue_reqs{model_name="m"} 5.0
sglang:num_running_reqs{model_name="m"} 7.0
sglang:token_usage{model_name="m"} 0.28
sglang:cache_config_info{num_pages="4096",page_size="64"} 1.0
`,
    );
    assert.deepEqual(
      [signals.waiting, signals.running, signals.kvUsage, signals.blockTokens, signals.blocks],
      [5, 7, 0.28, 64, 4_096],
    );
  });

  test("Triton with TensorRT-LLM", () => {
    const signals = tell(
      "triton-tensorrt-llm",
      `# HELP nv_trt_llm_request_metrics TRT LLM request metrics
# TYPE nv_trt_llm_request_metrics gauge
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="context",version="1"} 1
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"} 6
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="waiting",version="1"} 2
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="tensorrt_llm",version="1"} 0.125
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="tokens_per",model="tensorrt_llm",version="1"} 64
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",model="tensorrt_llm",version="1"} 512
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="tensorrt_llm",version="1"} 4096
`,
    );
    assert.deepEqual(
      [signals.waiting, signals.running, signals.kvUsage, signals.blockTokens, signals.blocks],
      [2, 6, 0.125, 64, 4_096],
    );
  });

  test("trtllm-serve, and plain Triton, whose models are summed up", () => {
    const served = tell("trtllm-serve", "trtllm_num_requests_waiting 4\ntrtllm_kv_cache_utilization 0.5\n");
    assert.deepEqual([served.waiting, served.kvUsage, served.running], [4, 0.5, Number.NaN]);
    const plain = `nv_inference_pending_request_count{model="a"} 4
nv_inference_pending_request_count{model="b"} 5
nv_inference_exec_count{model="a"} 900
`;
    assert.deepEqual([tell("triton", plain).waiting, tell("triton", plain).running], [9, Number.NaN]);
  });

  test("names of makes are each there once, and quantities have one family or names that follow each other", () => {
    assert.equal(new Set(builtInEngines.map(({ engine }) => engine)).size, builtInEngines.length);
  });
});

describe("several series of a family", () => {
  const text = `own{rank="0"} 2\nown{rank="1"} 4\n# a comment between\nown{rank="2"} 9\nother 1\nown{rank="3"} 100\n`;

  for (const [combine, expected] of [
    ["sum", 15],
    ["average", 5],
    ["max", 9],
    ["newest", 9],
    ["last", 9],
  ] as const) {
    test(combine, () =>
      assert.equal(tell(custom({ metric: "own", combine }), text).custom.get("it"), expected),
    );
  }

  test("engines behind one address: requests and blocks are summed up, the use of caches is averaged", () => {
    const signals = tell(
      "vllm",
      `vllm:num_requests_running{engine="0"} 1.0
vllm:num_requests_running{engine="1"} 2.0
vllm:kv_cache_usage_perc{engine="0"} 0.2
vllm:kv_cache_usage_perc{engine="1"} 0.4
vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="100"} 1.0
vllm:cache_config_info{block_size="16",engine="1",num_gpu_blocks="100"} 1.0
`,
    );
    assert.equal(signals.running, 3);
    assert.ok(Math.abs(signals.kvUsage - 0.3) < 1e-12);
    assert.equal(signals.blocks, 200);
    assert.equal(signals.blockTokens, 16);
  });

  test("only those with the labels that are asked for", () => {
    const of = (labels: Record<string, string>) =>
      tell(custom({ metric: "own", labels }), text).custom.get("it");
    assert.equal(of({ rank: "1" }), 4);
    assert.equal(of({ rank: "7" }), undefined);
    assert.equal(of({ ran: "1" }), undefined);
  });
});

describe("what a page may look like", () => {
  const it = (text: string, labels: Record<string, string> = {}) =>
    tell(custom({ metric: "own", labels }), text).custom.get("it");

  test("numbers", () => {
    const cases: [string, number | undefined][] = [
      ["0", 0],
      ["-1.5", -1.5],
      ["1.0", 1],
      ["0.1", 0.1],
      ["123456789012345678", 123_456_789_012_345_680],
      ["1e-3", 0.001],
      ["1.5E+06", 1.5e6],
      ["+7", 7],
      [".5", 0.5],
      ["5.", 5],
      ["3 1763300000000", 3],
      ["3\t", 3],
      ["NaN", undefined],
      ["+Inf", undefined],
      ["-Inf", undefined],
      ["Inf", undefined],
      ["", undefined],
      ["x", undefined],
      ["1.2.3", undefined],
      ["0x10", undefined],
      ["--1", undefined],
    ];
    for (const [text, expected] of cases) assert.equal(it(`own ${text}\n`), expected, text);
  });

  test("a series that is not a number does not spoil the others", () => {
    assert.equal(it('own{a="1"} NaN\nown{a="2"} 4\n'), 4);
    assert.equal(
      tell("vllm", 'vllm:num_requests_waiting{e="0"} -1\nvllm:num_requests_waiting{e="1"} 4\n').waiting,
      4,
    );
  });

  test("the words of a name in HELP, TYPE, labels and longer names are not the family", () => {
    const text = `# HELP own own 1
# TYPE own gauge
# own 2
other{of="own 3"} 4
other_own 5
own_other 6
own:other 7
own 8
`;
    assert.equal(it(text), 8);
  });

  test("escapes, braces, commas and blanks in labels", () => {
    const text = String.raw`own{ a = "}" , b="x\"y\\", c="1,2={", d="line\nend",} 3` + "\n";
    assert.equal(it(text), 3);
    assert.equal(it(text, { a: "}" }), 3);
    assert.equal(it(text, { b: 'x"y\\' }), 3);
    assert.equal(it(text, { c: "1,2={" }), 3);
    assert.equal(it(text, { d: "line\nend" }), 3);
    assert.equal(it(text, { d: "line" }), undefined);
  });

  test("line ends of other systems, the first line, empty labels, tabs", () => {
    assert.equal(it("own 3\r\nother 4\r\n"), 3);
    assert.equal(it("own{} 3\r\n"), 3);
    assert.equal(it("own\t3\n"), 3);
    assert.equal(it('own{a="b"}3\n'), 3);
  });

  test("a line that was cut says nothing", () => {
    assert.equal(it("own 12"), undefined);
    assert.equal(it('own{a="1"} 5\nown{a="2"} 12'), 5);
    assert.equal(it('own{a="1" 5\n'), undefined);
    assert.equal(it('own{a} 5\nown{b="2"} 12\n', { b: "2" }), 12);
    assert.equal(it("own"), undefined);
    assert.equal(it(""), undefined);
  });

  test("label values that are no numbers are not told", () => {
    const signals = tell("vllm", 'vllm:cache_config_info{block_size="16",num_gpu_blocks="None"} 1.0\n');
    assert.equal(signals.blockTokens, 16);
    assert.ok(Number.isNaN(signals.blocks));
  });

  test("what cannot be: use beyond all of the cache is all of it", () => {
    assert.equal(tell("vllm", "vllm:kv_cache_usage_perc 1.0001\n").kvUsage, 1);
  });
});

describe("page after page", () => {
  test("a family is found wherever it moves, and anew after it was away", () => {
    const { reader, signals } = readerFor(custom({ metric: "own" }));
    const filler = (bytes: number): string => "# fill\nfill 1\n".repeat(bytes / 14);
    const sizes = [0, 100_000, 99_000, 104_000, 50, 3_000, 60_000, 0];
    for (const [value, size] of sizes.entries()) {
      const text = `${filler(size)}own{a="1"} ${value}\nown{a="2"} ${value}\n${filler(3_000)}`;
      assert.equal(reader.read(pageOf(text), value), true);
      assert.equal(signals.custom.get("it"), value);
    }
  });

  test("the first of many series is found when the family has grown towards the beginning", () => {
    const { reader, signals } = readerFor(custom({ metric: "own", combine: "sum" }));
    const series = (count: number): string => 'own{a="a value of some length"} 1\n'.repeat(count);
    const fill = "fill 1\n".repeat(1_000);
    reader.read(pageOf(fill + series(200)), 0);
    assert.equal(signals.custom.get("it"), 200);
    reader.read(pageOf(series(400)), 1);
    assert.equal(signals.custom.get("it"), 400);
  });

  test("what a page lacks stays as it was until it is stale", () => {
    const { reader, signals } = readerFor("vllm");
    reader.read(pageOf("vllm:num_requests_waiting 3\nvllm:num_requests_running 5\n"), 0);
    reader.read(pageOf("vllm:num_requests_running 6\n"), 1_500);
    reader.expire(2_000, 2_000);
    assert.deepEqual([signals.waiting, signals.running, signals.told.waiting], [3, 6, 0]);
    reader.expire(2_001, 2_000);
    assert.deepEqual([signals.waiting, signals.running], [Number.NaN, 6]);
    reader.read(pageOf("vllm:num_requests_waiting 4\n"), 2_100);
    assert.equal(signals.waiting, 4);
  });

  test("custom quantities and adapters get stale as well, facts of the configuration do not", () => {
    const own = { engine: "vllm", metrics: custom({ metric: "own" }).metrics };
    const mapping = mappingOf("vllm", [own]);
    assert.ok(mapping !== undefined);
    const { reader, signals } = readerFor(mapping);
    reader.read(pageOf(`own 1\n${vllmPage}`), 0);
    assert.equal(signals.custom.get("it"), 1);
    reader.expire(10_000, 2_000);
    assert.equal(signals.custom.size, 0);
    assert.deepEqual(signals.runningAdapters, []);
    assert.deepEqual([signals.blockTokens, signals.blocks, signals.maxAdapters], [16, 27_412, 4]);
    reader.read(pageOf(vllmPage), 10_001);
    assert.deepEqual(signals.runningAdapters, ["sql", "chat"]);
  });

  test("a list of adapters that has not changed keeps its array", () => {
    const { reader, signals } = readerFor("vllm");
    reader.read(pageOf(vllmPage), 0);
    const before = signals.runningAdapters;
    reader.read(pageOf(vllmPage), 1);
    assert.equal(signals.runningAdapters, before);
  });

  test("a family that was long missing is looked for more rarely, and found again", () => {
    const { reader, signals } = readerFor(custom({ metric: "own" }));
    for (let page = 0; page < 100; page++) assert.equal(reader.read(pageOf("other 1\n"), page), false);
    let pages = 0;
    while (signals.custom.size === 0 && pages < 20) {
      reader.read(pageOf("own 1\n"), 200);
      pages++;
    }
    assert.ok(pages <= 10, `${pages} pages`);
    for (let page = 0; page < 10; page++) assert.equal(reader.read(pageOf("own 1\n"), page), true);
  });

  test("only what somebody needs is looked for", () => {
    const { reader, signals } = readerFor("vllm", ["running"]);
    assert.deepEqual(reader.families, ["vllm:num_requests_running"]);
    reader.read(pageOf(vllmPage), 0);
    assert.deepEqual([signals.running, signals.waiting, signals.runningAdapters], [12, Number.NaN, []]);
  });
});

describe("a configuration's own mappings", () => {
  test("go before the built-in ones, quantity by quantity", () => {
    const mapping = mappingOf("vllm", [
      { engine: "vllm", metrics: [{ signal: "waiting", metric: "my_waiting", labels: { kind: "all" } }] },
    ]);
    assert.ok(mapping !== undefined);
    const signals = tell(mapping, `my_waiting{kind="all"} 8\n${vllmPage}`);
    assert.deepEqual([signals.waiting, signals.running], [8, 12]);
    assert.equal(mappingOf("nothing", []), undefined);
    assert.equal(mappingOf("mine", [{ engine: "mine", metrics: [] }])?.engine, "mine");
  });
});
