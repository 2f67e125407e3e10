// `npm run layers`: writes the layer table into ARCHITECTURE.md.
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fillLayers } from "./lib/layers.ts";
import { root } from "./lib/paths.ts";

const page = path.join(root, "ARCHITECTURE.md");
writeFileSync(page, fillLayers(readFileSync(page, "utf8")));
