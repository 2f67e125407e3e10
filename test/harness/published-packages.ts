/**
 * Packages of others whose exports have a condition `source`, which is how this repository finds its
 * own sources, are loaded as they were built: Node strips no types below `node_modules`. To be
 * imported before them, and they by `await import()`.
 */
import { registerHooks } from "node:module";

registerHooks({
  resolve(specifier, context, next) {
    const isOwn = specifier.startsWith(".") || specifier.startsWith("@spillway/");
    const conditions = isOwn ? context.conditions : context.conditions.filter((each) => each !== "source");
    return next(specifier, { ...context, conditions });
  },
});
