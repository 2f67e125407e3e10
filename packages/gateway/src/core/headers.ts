/** Header values as they travel through the core. */

/** Names in lower case and values, in the order they are sent. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

/** Headers of a request, names in lower case; a repeated header is a list. */
export type HeaderMap = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The first value of a header, or undefined. */
export function headerValue(headers: HeaderMap, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" ? value : value?.[0];
}
