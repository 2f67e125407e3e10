/** The header tables of HPACK (RFC 7541): the fixed one and the one a peer fills. */

/** Static table (RFC 7541 appendix A); index 1 is the first entry. */
// prettier-ignore
const staticEntries: readonly (readonly [name: string, value: string])[] = [
  [":authority", ""], [":method", "GET"], [":method", "POST"], [":path", "/"], [":path", "/index.html"],
  [":scheme", "http"], [":scheme", "https"], [":status", "200"], [":status", "204"], [":status", "206"],
  [":status", "304"], [":status", "400"], [":status", "404"], [":status", "500"], ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"], ["accept-language", ""], ["accept-ranges", ""], ["accept", ""],
  ["access-control-allow-origin", ""], ["age", ""], ["allow", ""], ["authorization", ""],
  ["cache-control", ""], ["content-disposition", ""], ["content-encoding", ""], ["content-language", ""],
  ["content-length", ""], ["content-location", ""], ["content-range", ""], ["content-type", ""],
  ["cookie", ""], ["date", ""], ["etag", ""], ["expect", ""], ["expires", ""], ["from", ""], ["host", ""],
  ["if-match", ""], ["if-modified-since", ""], ["if-none-match", ""], ["if-range", ""],
  ["if-unmodified-since", ""], ["last-modified", ""], ["link", ""], ["location", ""], ["max-forwards", ""],
  ["proxy-authenticate", ""], ["proxy-authorization", ""], ["range", ""], ["referer", ""], ["refresh", ""],
  ["retry-after", ""], ["server", ""], ["set-cookie", ""], ["strict-transport-security", ""],
  ["transfer-encoding", ""], ["user-agent", ""], ["vary", ""], ["via", ""], ["www-authenticate", ""],
];

const staticCount = staticEntries.length;

/** An entry's size as both tables and SETTINGS_MAX_HEADER_LIST_SIZE count it (RFC 7541 section 4.1). */
export const entryOverheadBytes = 32;

/** Index of the first static entry with a name; absent when there is none. */
export const staticNameIndex: ReadonlyMap<string, number> = new Map(
  staticEntries.map(([name], index): [string, number] => [name, index + 1]).toReversed(),
);

/** Index of the static entry with a name and a value, keyed by name, NUL, value. */
export const staticPairIndex: ReadonlyMap<string, number> = new Map(
  staticEntries.map(([name, value], index): [string, number] => [`${name}\0${value}`, index + 1]),
);

/** The static entries followed by those the peer added, newest first. */
export class HeaderTable {
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  #bytes = 0;
  #maxBytes: number;

  /** `maxBytes` is the bound that our SETTINGS_HEADER_TABLE_SIZE gives. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True when the index names an entry. */
  has(index: number): boolean {
    return index >= 1 && index <= staticCount + this.#names.length;
  }

  /** True when the entry is one the peer added. */
  isDynamic(index: number): boolean {
    return index > staticCount;
  }

  name(index: number): string {
    if (index <= staticCount) return staticEntries[index - 1]?.[0] ?? "";
    return this.#names[this.#names.length - (index - staticCount)] ?? "";
  }

  value(index: number): string {
    if (index <= staticCount) return staticEntries[index - 1]?.[1] ?? "";
    return this.#values[this.#values.length - (index - staticCount)] ?? "";
  }

  /** Adds an entry and drops the oldest until all fit; one larger than the table empties it. */
  add(name: string, value: string): void {
    const bytes = name.length + value.length + entryOverheadBytes;
    this.#evict(this.#maxBytes - bytes);
    if (bytes > this.#maxBytes) return;
    this.#names.push(name);
    this.#values.push(value);
    this.#bytes += bytes;
  }

  /** The peer's own bound, at most the one given at construction (the caller checks). */
  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#evict(maxBytes);
  }

  /** Drops the oldest entries until at most `bytes` remain. */
  #evict(bytes: number): void {
    let count = 0;
    while (this.#bytes > bytes && count < this.#names.length) {
      this.#bytes -=
        (this.#names[count]?.length ?? 0) + (this.#values[count]?.length ?? 0) + entryOverheadBytes;
      count++;
    }
    if (count === 0) return;
    this.#names.splice(0, count);
    this.#values.splice(0, count);
  }
}
