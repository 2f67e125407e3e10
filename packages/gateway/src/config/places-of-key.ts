/** Where a configuration has a key that somebody put elsewhere. */
import type { $ZodType } from "zod/v4/core";
import { unwrapSchema } from "./unwrap-schema.ts";

/** A key that is in more places than this could be meant for any of them: naming them helps nobody. */
const maxPlaces = 4;
/** No schema here is deeper; one that holds itself ends here. */
const maxDepth = 8;

/** One step of a place: a key, any key (`*`), or any item of a list (`[]`). */
type Place = readonly string[];

/**
 * The mappings of a schema that have a key, as people write paths: `listen[]`, `pools.NAME`. Empty where there is none
 * but `here`, the path of the mapping that has it wrongly, or where there are more than four.
 */
export function placesOfKey(schema: $ZodType, key: string, here: readonly PropertyKey[]): readonly string[] {
  const found: Place[] = [];
  look(schema, { key, place: [], found });
  const others = found.filter((place) => !covers(place, here)).map(written);
  const places = [...new Set(others)];
  return places.length > maxPlaces ? [] : places;
}

interface Search {
  readonly key: string;
  /** Of what is looked into. */
  readonly place: Place;
  readonly found: Place[];
}

function look(schema: $ZodType, { key, place, found }: Search): void {
  if (place.length > maxDepth) return;
  const { def } = unwrapSchema(schema)._zod;
  const below = (child: $ZodType, ...step: Place): void =>
    look(child, { key, place: [...place, ...step], found });
  switch (def.type) {
    case "object":
      if (Object.hasOwn(def.shape, key)) found.push(place);
      for (const [name, child] of Object.entries(def.shape)) below(child, name);
      break;
    case "record":
      below(def.valueType, "*");
      break;
    case "array":
      below(def.element, "[]");
      break;
    case "union":
      for (const option of def.options) below(option);
      break;
    default:
  }
}

function covers(place: Place, path: readonly PropertyKey[]): boolean {
  if (place.length !== path.length) return false;
  return place.every((step, index) => {
    const key = path[index];
    return typeof key === "number" ? step === "[]" : step === "*" || step === key;
  });
}

function written(place: Place): string {
  if (place.length === 0) return "the top of the file";
  return place
    .map((step) => (step === "[]" ? step : `.${step === "*" ? "NAME" : step}`))
    .join("")
    .slice(1);
}
