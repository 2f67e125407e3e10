/** The detectors of all accounts, and the routes under `/v1/detectors`. */
import type { Clock } from "../clock.ts";
import { fields, isFields, items, number, text } from "../faces/fields.ts";
import type { Fields } from "../faces/fields.ts";
import type { Random } from "../random.ts";
import { detectorModes } from "./cloud-options.ts";
import type { CloudDetectorSpec, CloudMode } from "./cloud-options.ts";
import { idOfName, makeId } from "./ids.ts";
import { forbidden, invalid, notFound, pageOf, readMetadata } from "./reply.ts";
import type { CloudCall, Reply } from "./reply.ts";

/** A detector. */
export interface CloudDetector {
  readonly id: string;
  readonly account: string;
  readonly createdAt: number;
  readonly query: string;
  readonly groupName: string;
  readonly mode: CloudMode;
  readonly modeConfiguration: Fields | null;
  readonly metadata: Fields | null;
  name: string;
  confidenceThreshold: number;
  /** Seconds. */
  patienceTime: number;
  status: "ON" | "OFF";
  escalationType: string;
}

const MAX_DETECTORS = 10_000;
const PLACE = "/device-api/v1/detectors";

/** All detectors, at most 10,000. Ids are found in any case. */
export class DetectorBook {
  readonly #byId = new Map<string, CloudDetector>();
  readonly #groups = new Map<string, { id: string; name: string; account: string }>();
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Every detector, oldest first. */
  all(): readonly CloudDetector[] {
    return [...this.#byId.values()];
  }

  /** By id, whoever's it is. */
  find(id: string): CloudDetector | undefined {
    return this.#byId.get(id.toLowerCase());
  }

  /** Adds one that was not asked for over HTTP. */
  add(spec: CloudDetectorSpec, firstAccount: string): CloudDetector {
    const { name, mode = "BINARY" } = spec;
    const detector: CloudDetector = {
      id: spec.id ?? idOfName("det_", name),
      account: spec.account ?? firstAccount,
      createdAt: this.#clock.wallNow(),
      name,
      query: spec.query ?? name,
      groupName: spec.groupName ?? "Default",
      mode,
      modeConfiguration: spec.modeConfiguration ?? defaultConfiguration(mode),
      metadata: spec.metadata ?? null,
      confidenceThreshold: spec.confidenceThreshold ?? 0.9,
      patienceTime: spec.patienceTime ?? 30,
      status: "ON",
      escalationType: "STANDARD",
    };
    this.#byId.set(detector.id.toLowerCase(), detector);
    return detector;
  }

  /** The caller's detector of an id, or the refusal. */
  own({ caller }: CloudCall, id: string): CloudDetector | Reply {
    const found = this.find(id);
    if (found === undefined) return notFound("No Detector matches the given query.");
    return found.account === caller.account ? found : forbidden();
  }

  /** `GET /v1/detectors`, with `?name=` those of that name. */
  list(call: CloudCall): Reply {
    const name = call.query.get("name");
    const mine = this.all().filter(
      (each) => each.account === call.caller.account && (name === null || each.name === name),
    );
    return pageOf(call, PLACE, mine, writeDetector);
  }

  /** `GET /v1/detectors/:id`. */
  get(call: CloudCall): Reply {
    const found = this.own(call, call.path["id"] ?? "");
    return isDetector(found) ? { json: writeDetector(found) } : found;
  }

  /** `POST /v1/detectors`. */
  create(call: CloudCall): Reply {
    const body = fields(call.body);
    const wrong = checkCreation(body) ?? this.#checkName(call, body["name"]);
    if (wrong !== undefined) return wrong;
    if (this.#byId.size >= MAX_DETECTORS) return invalid("non_field_errors", "Too many detectors.");
    const mode = detectorModes.find((each) => each === body["mode"]) ?? "BINARY";
    const configuration = fields(body["mode_configuration"]);
    const metadata = text(body["metadata"]);
    const made = this.add(
      {
        id: makeId("det_", this.#random),
        name: text(body["name"]) ?? "",
        query: text(body["query"]) ?? "",
        mode,
        modeConfiguration: completeConfiguration(mode, configuration),
        account: call.caller.account,
        groupName: text(body["group_name"]) ?? "Default",
        confidenceThreshold: number(body["confidence_threshold"]) ?? 0.9,
        patienceTime: number(body["patience_time"]) ?? 30,
        ...(metadata !== undefined && { metadata: readMetadata(metadata) ?? {} }),
      },
      call.caller.account,
    );
    return { status: 201, json: writeDetector(made) };
  }

  /** `PATCH /v1/detectors/:id`: name, threshold, patience, status, escalation type. */
  patch(call: CloudCall): Reply {
    const found = this.own(call, call.path["id"] ?? "");
    if (!isDetector(found)) return found;
    const body = fields(call.body);
    const wrong =
      checkNumbers(body) ??
      (body["name"] === undefined || body["name"] === found.name
        ? undefined
        : (checkText(body, "name", 200) ?? this.#checkName(call, body["name"])));
    if (wrong !== undefined) return wrong;
    const status = body["status"];
    if (status !== undefined && status !== "ON" && status !== "OFF" && status !== "")
      return invalid("status", `${JSON.stringify(status)} is not a valid choice.`);
    found.name = text(body["name"]) ?? found.name;
    found.confidenceThreshold = number(body["confidence_threshold"]) ?? found.confidenceThreshold;
    found.patienceTime = number(body["patience_time"]) ?? found.patienceTime;
    if (status === "ON" || status === "OFF") found.status = status;
    found.escalationType = text(body["escalation_type"]) ?? found.escalationType;
    return { json: writeDetector(found) };
  }

  /** `DELETE /v1/detectors/:id`. */
  remove(call: CloudCall): Reply {
    const found = this.own(call, call.path["id"] ?? "");
    if (!isDetector(found)) return found;
    this.#byId.delete(found.id.toLowerCase());
    return { status: 204 };
  }

  /** `GET /v1/detector-groups`: those that were made or are in use. A plain list. */
  listGroups({ caller }: CloudCall): Reply {
    for (const { groupName, account } of this.#byId.values())
      if (account === caller.account) this.#group(groupName, account);
    const mine = [...this.#groups.values()].filter(({ account }) => account === caller.account);
    return { json: mine.map(({ id, name }) => ({ id, name })) };
  }

  /** `POST /v1/detector-groups`. */
  createGroup(call: CloudCall): Reply {
    const wrong = checkText(fields(call.body), "name", 100);
    if (wrong !== undefined) return wrong;
    const { id, name } = this.#group(text(fields(call.body)["name"]) ?? "", call.caller.account);
    return { status: 201, json: { id, name } };
  }

  #group(name: string, account: string): { id: string; name: string } {
    const key = `${account}\n${name}`;
    const group = this.#groups.get(key) ?? { id: idOfName("detgroup_", key), name, account };
    if (this.#groups.size < MAX_DETECTORS) this.#groups.set(key, group);
    return group;
  }

  #checkName({ caller }: CloudCall, name: unknown): Reply | undefined {
    const taken = this.all().some((each) => each.account === caller.account && each.name === name);
    return taken
      ? invalid("name", `A detector with the name ${JSON.stringify(name)} already exists.`)
      : undefined;
  }
}

/** Whether `own` found one. */
export function isDetector(found: CloudDetector | Reply): found is CloudDetector {
  return "account" in found;
}

/** A detector as the API writes it. */
function writeDetector(detector: CloudDetector): object {
  return {
    id: detector.id,
    type: "detector",
    created_at: new Date(detector.createdAt).toISOString(),
    name: detector.name,
    query: detector.query,
    group_name: detector.groupName,
    confidence_threshold: detector.confidenceThreshold,
    patience_time: detector.patienceTime,
    metadata: detector.metadata,
    mode: detector.mode,
    mode_configuration: detector.modeConfiguration,
    status: detector.status,
    escalation_type: detector.escalationType,
  };
}

function checkCreation(body: Fields): Reply | undefined {
  const { mode = "BINARY", mode_configuration: given, metadata } = body;
  const known = detectorModes.find((each) => each === mode);
  if (known === undefined) return invalid("mode", `${JSON.stringify(mode)} is not a valid choice.`);
  const wrong = checkText(body, "name", 200) ?? checkText(body, "query", 300) ?? checkNumbers(body);
  if (wrong !== undefined) return wrong;
  if (metadata !== undefined && metadata !== null && readMetadata(text(metadata) ?? "") === undefined)
    return invalid("metadata", "Not base64 of a JSON object.");
  return checkConfiguration(known, fields(given));
}

function checkText(body: Fields, name: string, most: number): Reply | undefined {
  const value = text(body[name]);
  if (value === undefined || value === "") return invalid(name, "This field is required.");
  return value.length > most
    ? invalid(name, `Ensure this field has no more than ${most} characters.`)
    : undefined;
}

function checkNumbers(body: Fields): Reply | undefined {
  return checkNumber(body, "confidence_threshold", 1) ?? checkNumber(body, "patience_time", 3600);
}

function checkNumber(body: Fields, name: string, most: number): Reply | undefined {
  const value = body[name];
  if (value === undefined) return undefined;
  if (typeof value !== "number") return invalid(name, "A valid number is required.");
  if (value < 0) return invalid(name, "Ensure this value is greater than or equal to 0.");
  return value > most ? invalid(name, `Ensure this value is less than or equal to ${most}.`) : undefined;
}

function checkConfiguration(mode: CloudMode, configuration: Fields): Reply | undefined {
  const wrong = (message: string): Reply => invalid("mode_configuration", message);
  if (mode === "COUNT" || mode === "BOUNDING_BOX") {
    if (text(configuration["class_name"]) === undefined) return wrong("class_name is required.");
    const most = configuration[mode === "COUNT" ? "max_count" : "max_num_bboxes"] ?? 10;
    if (!(Number.isInteger(most) && Number(most) >= 1 && Number(most) <= 50))
      return wrong("The maximum must be a whole number from 1 to 50.");
  }
  if (mode === "MULTI_CLASS" && items(configuration["class_names"]).length < 2)
    return wrong("class_names must have at least two names.");
  return undefined;
}

function completeConfiguration(mode: CloudMode, given: Fields): Fields {
  return { ...defaultConfiguration(mode), ...given };
}

function defaultConfiguration(mode: CloudMode): Fields {
  switch (mode) {
    case "COUNT":
      return { class_name: "object", max_count: 10 };
    case "BOUNDING_BOX":
      return { class_name: "object", max_num_bboxes: 10 };
    case "MULTI_CLASS":
      return { class_names: ["first", "second"] };
    case "TEXT":
      return { value_max_length: 250 };
    case "BINARY":
      return {};
  }
}

/** The classes a detector chooses from; a count's are the numbers up to its maximum. */
export function classesOf({ mode, modeConfiguration }: CloudDetector): readonly string[] {
  const configuration = isFields(modeConfiguration) ? modeConfiguration : {};
  switch (mode) {
    case "BINARY":
      return ["YES", "NO"];
    case "MULTI_CLASS":
      return items(configuration["class_names"]).map(String);
    case "COUNT":
      return Array.from({ length: (number(configuration["max_count"]) ?? 10) + 1 }, (_, count) => `${count}`);
    case "BOUNDING_BOX":
      return ["NO_OBJECTS", "BOUNDING_BOX"];
    case "TEXT":
      return ["A1", "B2", "C3"];
  }
}

/** Whether a label is one that a detector could give. */
export function mayLabel(detector: CloudDetector, label: string): boolean {
  if (label === "UNCLEAR" || detector.mode === "TEXT") return true;
  if (detector.mode === "COUNT") return /^\d{1,6}$/.test(label);
  if (detector.mode === "BOUNDING_BOX" && label === "GREATER_THAN_MAX") return true;
  return classesOf(detector).includes(label);
}
