/** A real Chromium for tests, driven over the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/). */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, type TestContext } from "node:test";
import { requireProgram } from "./requires.ts";
import { until } from "./until.ts";

type Fields = Readonly<Record<string, unknown>>;

interface Message {
  readonly id?: number;
  readonly sessionId?: string;
  readonly method?: string;
  readonly params?: Fields;
  readonly result?: Fields;
  readonly error?: { readonly message: string };
}

/** One tab. */
export interface Page {
  /** What the browser and the page complained of: errors on the console, exceptions, violated policies, failed loads. */
  readonly complaints: readonly string[];
  /** Addresses that were asked for. */
  readonly requests: readonly string[];
  open(url: string): Promise<void>;
  /** Value of an expression, or of the promise it gives, as JSON can carry it. Rejects with what it throws. */
  evaluate<Value>(expression: string): Promise<Value>;
  /** Waits until an expression is truthy and gives its value. */
  waitFor<Value>(what: string, expression: string): Promise<Value>;
  /** Presses and lets go a key, such as `Tab`, `Enter`, `ArrowLeft`. */
  press(key: string): Promise<void>;
  /** Moves the pointer, in CSS pixels of the window. */
  moveTo(x: number, y: number): Promise<void>;
  resize(width: number, height: number): Promise<void>;
  useScheme(scheme: "light" | "dark"): Promise<void>;
  /** PNG of the whole page. */
  screenshot(): Promise<Buffer>;
  send(method: string, params?: Fields): Promise<Fields>;
}

/** The one browser of a test file, whose start costs more than most tests; each test has a window of its own in it. */
let running: Promise<DevTools> | undefined;
/** Ends it. */
let end: (() => Promise<void>) | undefined;
after(() => end?.());

/**
 * Opens pages that know nothing of other tests' (cookies, storage, cache) and close with the test; undefined after the test
 * has been marked as skipped where there is no browser.
 */
export async function startBrowser(t: TestContext): Promise<{ newPage(): Promise<Page> } | undefined> {
  const program = requireProgram(t, "chromium", "apt install chromium");
  if (program === undefined) return undefined;
  const link = await (running ??= start(program));
  const { browserContextId } = await link.send("Target.createBrowserContext");
  t.after(() => link.send("Target.disposeBrowserContext", { browserContextId }));
  return { newPage: () => link.newPage({ browserContextId }) };
}

async function start(program: string): Promise<DevTools> {
  const folder = mkdtempSync(path.join(tmpdir(), "chromium-"));
  const flags = [
    "--headless=new",
    "--remote-debugging-port=0",
    `--user-data-dir=${folder}`,
    "--no-first-run",
  ];
  const quiet = [
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--hide-scrollbars",
  ];
  // The sandbox needs user namespaces, which containers often lack; only pages of the test are opened.
  const args = [...flags, ...quiet, "--no-sandbox", "about:blank"];
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], detached: true });
  const ended = once(child, "exit");
  end = async () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
    await ended;
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => void (said = (said + chunk.toString()).slice(-20_000)));
  const address = await until("chromium listens", () => /DevTools listening on (ws:\S+)/.exec(said)?.[1]);
  return DevTools.open(address);
}

/** The connection to the browser. */
class DevTools {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (message: Message) => void>();
  readonly #listeners = new Map<string, (message: Message) => void>();
  #next = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const message = JSON.parse(String(data)) as Message;
      if (message.id !== undefined) this.#waiting.get(message.id)?.(message);
      else this.#listeners.get(message.sessionId ?? "")?.(message);
    });
  }

  static async open(address: string): Promise<DevTools> {
    const socket = new WebSocket(address);
    await once(socket, "open");
    return new DevTools(socket);
  }

  send(method: string, params: Fields = {}, sessionId?: string): Promise<Fields> {
    const id = ++this.#next;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) => {
        this.#waiting.delete(id);
        if (error === undefined) resolve(result ?? {});
        else reject(new Error(`${method}: ${error.message}`));
      });
      this.#socket.send(
        JSON.stringify({ id, method, params, ...(sessionId !== undefined && { sessionId }) }),
      );
    });
  }

  async newPage(context: Fields): Promise<Page> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank", ...context });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const send = (method: string, params: Fields = {}): Promise<Fields> =>
      this.send(method, params, sessionId as string);
    const heard = { complaints: [] as string[], requests: [] as string[] };
    this.#listeners.set(sessionId as string, (message) => listen(message, heard));
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await send(`${domain}.enable`);
    return pageOf(send, heard);
  }
}

function listen(
  { method, params = {} }: Message,
  heard: { readonly complaints: string[]; readonly requests: string[] },
): void {
  if (method === "Network.requestWillBeSent")
    heard.requests.push((params["request"] as { readonly url: string }).url);
  if (method === "Runtime.exceptionThrown") heard.complaints.push(JSON.stringify(params["exceptionDetails"]));
  if (method === "Runtime.consoleAPICalled" && params["type"] !== "log")
    heard.complaints.push(JSON.stringify(params["args"]));
  if (method !== "Log.entryAdded") return;
  const { level, text, url } = params["entry"] as Readonly<Record<"level" | "text" | "url", string>>;
  if (level === "error" || level === "warning") heard.complaints.push(`${text} ${url}`);
}

const keyCodes: Readonly<Record<string, number>> = {
  Tab: 9,
  Enter: 13,
  Escape: 27,
  End: 35,
  Home: 36,
  ArrowLeft: 37,
  ArrowRight: 39,
};

function pageOf(send: Page["send"], heard: Pick<Page, "complaints" | "requests">): Page {
  async function evaluate<Value>(expression: string): Promise<Value> {
    const answer = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (answer["exceptionDetails"] !== undefined) throw new Error(JSON.stringify(answer["exceptionDetails"]));
    return (answer["result"] as { readonly value: Value }).value;
  }
  return {
    ...heard,
    send,
    evaluate,
    async open(url) {
      await send("Page.navigate", { url });
      await until(`${url} is there`, () =>
        evaluate<boolean>(`location.href !== "about:blank" && document.readyState === "complete"`),
      );
    },
    waitFor: (what, expression) => until(what, async () => (await evaluate<never>(expression)) || undefined),
    async press(key) {
      const code = { key, code: key, windowsVirtualKeyCode: keyCodes[key] ?? 0 };
      const text = key === "Enter" ? { text: "\r" } : {};
      await send("Input.dispatchKeyEvent", { type: "keyDown", ...code, ...text });
      await send("Input.dispatchKeyEvent", { type: "keyUp", ...code });
    },
    async moveTo(x, y) {
      await send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y });
    },
    async resize(width, height) {
      const metrics = { width, height, deviceScaleFactor: 1, mobile: width < 600 };
      await send("Emulation.setDeviceMetricsOverride", metrics);
    },
    async useScheme(scheme) {
      const features = [{ name: "prefers-color-scheme", value: scheme }];
      await send("Emulation.setEmulatedMedia", { features });
    },
    async screenshot() {
      const { data } = await send("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
      return Buffer.from(data as string, "base64");
    },
  };
}
