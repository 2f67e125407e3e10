/** The files in models/ are what their README says: accuracy, size, samples. Engines and doors are not involved. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";
import { parse } from "yaml";

const models = path.join(import.meta.dirname, "../../models");

interface HeldOut {
  readonly correct: number;
  readonly rows: readonly number[];
  readonly labels: readonly number[];
  readonly inputs: readonly (readonly number[])[];
}

function heldOut(name: string): HeldOut {
  return JSON.parse(readFileSync(path.join(models, name, "heldout.json"), "utf8")) as HeldOut;
}

/** The class of each row: the one with the highest score. */
async function classify(name: string, rows: readonly (readonly number[])[]): Promise<number[]> {
  const session = await InferenceSession.create(path.join(models, name, "1/model.onnx"), {
    intraOpNumThreads: 1,
  });
  const input = new Tensor("float32", Float32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
  const { scores } = await session.run({ [session.inputNames[0]!]: input });
  const data = scores!.data as Float32Array;
  const classes = scores!.dims[1]!;
  await session.release();
  return rows.map((_, i) => {
    const row = data.subarray(i * classes, (i + 1) * classes);
    assert.ok(
      Math.abs(row.reduce((sum, score) => sum + score) - 1) < 1e-5,
      `row ${i} of ${name} adds up to 1`,
    );
    return row.indexOf(Math.max(...row));
  });
}

/** The 64 grey values, 0 to 255, of a picture resized to 8×8. */
async function greyValues(file: string): Promise<number[]> {
  const values = await sharp(file).greyscale().resize(8, 8, { fit: "fill" }).raw().toBuffer();
  assert.equal(values.length, 64, file);
  return [...values];
}

const facts = [
  { name: "iris", input: "features", width: 4, labels: ["setosa", "versicolor", "virginica"] },
  { name: "breast-cancer", input: "features", width: 30, labels: ["malignant", "benign"] },
  { name: "digits", input: "pixels", width: 64, labels: Array.from({ length: 10 }, (_, i) => String(i)) },
];

for (const { name, input, width, labels } of facts) {
  describe(name, () => {
    it("takes rows of the stated width and gives one probability a class", async () => {
      const session = await InferenceSession.create(path.join(models, name, "1/model.onnx"));
      assert.deepEqual(session.inputMetadata, [
        { name: input, isTensor: true, type: "float32", shape: ["batch", width] },
      ]);
      assert.deepEqual(session.outputMetadata, [
        { name: "scores", isTensor: true, type: "float32", shape: ["batch", labels.length] },
      ]);
      await session.release();
    });

    it("is as accurate on held-out rows as both READMEs say", async () => {
      const { correct, labels: truth, inputs } = heldOut(name);
      const answers = await classify(name, inputs);
      assert.equal(answers.filter((answer, i) => answer === truth[i]).length, correct);
      const share = ((100 * correct) / truth.length).toFixed(1);
      const own = readFileSync(path.join(models, name, "README.md"), "utf8");
      assert.match(own, new RegExp(`\\b${correct} of ${truth.length} held-out \\w+ \\(${share} %\\)`));
      const { length: size } = readFileSync(path.join(models, name, "1/model.onnx"));
      const table = readFileSync(path.join(models, "README.md"), "utf8").split("\n");
      const row = table.find((line) => line.startsWith(`| [${name}]`)) ?? "";
      assert.match(row, new RegExp(`\\| ${correct} of ${truth.length} \\(${share} %\\) +\\|`));
      assert.match(row, new RegExp(`\\| ${size.toLocaleString("en-US")} bytes +\\|`));
    });

    it("has its labels in model.yaml, in the order of the classes", () => {
      const settings: unknown = parse(readFileSync(path.join(models, name, "model.yaml"), "utf8"));
      assert.deepEqual((settings as { labels: unknown }).labels, labels);
    });

    it("has a sample for each label, which gets that label", async () => {
      const folder = path.join(models, name, "samples");
      const suffix = name === "digits" ? ".png" : ".json";
      assert.deepEqual(readdirSync(folder).toSorted(), labels.map((label) => label + suffix).toSorted());
      const rows = labels.map(async (label) => {
        const file = path.join(folder, label + suffix);
        if (suffix === ".png") return (await greyValues(file)).map((grey) => (grey * 16) / 255);
        const body = JSON.parse(readFileSync(file, "utf8")) as { model_name: string; features: number[] };
        assert.equal(body.model_name, name);
        return body.features;
      });
      assert.deepEqual(await classify(name, await Promise.all(rows)), [...labels.keys()]);
    });
  });
}

it("the PNG files of digits/heldout are the rows of heldout.json", async () => {
  const { rows, labels, inputs } = heldOut("digits");
  const names = rows.map((row, i) => `${String(row).padStart(4, "0")}-${labels[i]!}.png`);
  assert.deepEqual(readdirSync(path.join(models, "digits/heldout")).toSorted(), names.toSorted());
  for (const [i, name] of names.entries()) {
    const expected = inputs[i]!.map((value) => Math.round((value * 255) / 16));
    assert.deepEqual(await greyValues(path.join(models, "digits/heldout", name)), expected, name);
  }
});
