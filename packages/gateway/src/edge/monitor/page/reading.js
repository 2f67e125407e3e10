// @ts-check
// Reads from the gateway: JSON and pictures, with the key that somebody gave in this tab.

const keyName = "spillway-status-key";
const timeoutMs = 10_000;
const maxPictures = 250;

/** What went wrong, in a sentence; `status` is 0 without an answer. */
export class ReadingError extends Error {
  /**
   * @param {string} message
   * @param {number} status
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** @returns {string | null} */
export function currentKey() {
  return sessionStorage.getItem(keyName);
}

/** @param {string} key */
export function keepKey(key) {
  sessionStorage.setItem(keyName, key);
}

/** @param {string} address */
async function read(address) {
  const key = currentKey();
  /** @type {Record<string, string>} */
  const headers = key === null ? {} : { authorization: `Bearer ${key}` };
  const answer = await fetch(address, { headers, signal: AbortSignal.timeout(timeoutMs) }).catch(() => {
    throw new ReadingError("The gateway does not answer", 0);
  });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  const message = typeof said.error === "string" ? said.error : `The gateway answered ${answer.status}`;
  throw new ReadingError(message, answer.status);
}

/**
 * JSON of an address; what it is, the caller knows. Throws a `ReadingError`.
 * @param {string} address
 * @returns {Promise<unknown>}
 */
export async function readJson(address) {
  const answer = await read(address);
  return answer.json().catch(() => {
    throw new ReadingError("The gateway's answer was cut short", 0);
  });
}

/** Addresses of pictures in this page's memory, by id of the query; null for one that is not kept. */
const pictures = /** @type {Map<string, Promise<string | null>>} */ (new Map());

/**
 * The address of a query's picture in this page's memory; null where there is none.
 * @param {string} id
 * @returns {Promise<string | null>}
 */
export function pictureOf(id) {
  const known = pictures.get(id);
  if (known !== undefined) return known;
  const reading = read(`status/pictures/${encodeURIComponent(id)}?else=empty`)
    .then(async (answer) => (answer.status === 204 ? null : URL.createObjectURL(await answer.blob())))
    .catch(() => null);
  pictures.set(id, reading);
  for (const [oldest, address] of pictures) {
    if (pictures.size <= maxPictures) break;
    pictures.delete(oldest);
    void address.then((url) => url !== null && URL.revokeObjectURL(url));
  }
  return reading;
}
