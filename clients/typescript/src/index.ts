/**
 * A client of the REST API of a Perennial shop, for browsers and Node 20 or newer. It has no dependency.
 *
 *     const shop = connect({ address: "https://shop.example/api/v1", key });
 *     const { data, events } = await shop.pauseSubscription({ path: { id }, body: { until: "2027-03-01" } });
 */
import { operations as table } from "./operations.js";
import type { components, operations } from "./schema.js";

export type { components, operations } from "./schema.js";

type Schemas = components["schemas"];
export type Event = Schemas["EventView"];
export type FieldProblem = Schemas["FieldProblem"];

export interface Options {
  /** Where the API is, such as https://shop.example/api/v1. */
  address: string;
  /** The API key. */
  key: string;
  /** How often a request is sent at most; by default 5. */
  attempts?: number;
  /** How long one attempt may take, in milliseconds; by default 30,000. It does not limit downloads and streams. */
  timeout?: number;
  /** The longest wait between two attempts, in milliseconds; by default 60,000. */
  maxWait?: number;
  /** How long a stream may be silent before it is opened again, in milliseconds; by default 45,000. */
  silence?: number;
  /** In place of the platform's. */
  fetch?: typeof fetch;
}

/** What the server refuses. */
export class Problem extends Error {
  override readonly name = "Problem";
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly errors: FieldProblem[],
    readonly requestID: string,
    /** Milliseconds that Retry-After asks for; 0: nothing. */
    readonly retryAfter: number,
  ) {
    super(`${code || status}: ${detail}${errors.map((e) => ` ${e.pointer}: ${e.detail}`).join("")}`);
  }
}

/** An answer that makes no sense: asking again would not help. */
class Unreadable extends Error {}

type ID = keyof typeof table & keyof operations;
type Part<T, K extends string> = T extends { [P in K]: infer V } ? V : T extends { [P in K]?: infer V } ? NonNullable<V> : never;
type Parameters<K extends ID> = operations[K]["parameters"];
type Query<K extends ID> = Part<Parameters<K>, "query">;
type Path<K extends ID> = Part<Parameters<K>, "path">;
type Body<K extends ID> = Part<Part<Part<operations[K], "requestBody">, "content">, "application/json">;
/** A member that may be left out when everything in it may. */
type Member<K extends string, V> = [V] extends [never] ? {} : {} extends V ? { [P in K]?: V } : { [P in K]: V };

/** What an operation takes. */
export type Input<K extends ID> = Member<"path", Path<K>> & Member<"query", Query<K>> & Member<"body", Body<K>> & {
  /** Makes the change only if the thing still has this version; else the problem's code is stale_version. */
  ifMatch?: number;
  /** Makes the change once, also over restarts of the caller. Without it each call makes a key of its own. */
  idempotencyKey?: string;
  signal?: AbortSignal;
};

type Success = 200 | 201 | 202;
type Content<K extends ID> = operations[K]["responses"] extends infer R ? { [S in keyof R & Success]: Part<R[S], "content"> }[keyof R & Success] : never;
/** What an operation answers. */
export type Answer<K extends ID> = Content<K> extends { "application/json": infer J } ? J : string;
/** The lists. */
export type List = { [K in ID]: Answer<K> extends { data: unknown[]; next_cursor: string | null } ? K : never }[ID];
type Item<K extends List> = Answer<K> extends { data: (infer T)[] } ? T : never;

type Method<K extends ID> = {} extends Input<K> ? (input?: Input<K>) => Promise<Answer<K>> : (input: Input<K>) => Promise<Answer<K>>;
export type Methods = { [K in Exclude<ID, "streamEvents" | "ingestEvents">]: Method<K> };

export interface StreamOptions {
  /** The same filters as of listEvents. */
  query?: Omit<Query<"streamEvents">, "unnamed">;
  /** Begins after this seq: with what was missed while nobody followed. Without it, the stream begins now. */
  after?: number;
  signal?: AbortSignal;
}

export interface Extras {
  /** Goes through a list, a page after the other. */
  each<K extends List>(list: K, ...input: {} extends Input<K> ? [Input<K>?] : [Input<K>]): AsyncGenerator<Item<K>, void, undefined>;
  /** Follows the journal live. After an outage of any length it goes on where it was: no event is lost and none comes twice. */
  stream(options?: StreamOptions): AsyncGenerator<Event, void, undefined>;
  /** Sends events in from outside; each is taken or refused by itself. */
  ingest(lines: Schemas["IngestLine"][], options?: { idempotencyKey?: string; signal?: AbortSignal }): Promise<IngestAnswer[]>;
}

export interface IngestAnswer {
  line: number;
  status: "created" | "duplicate" | "refused";
  id: string | null;
  seq: number | null;
  error: string | null;
}

export type Client = Methods & Extras;

interface Loose {
  path?: Record<string, string>;
  query?: Record<string, unknown>;
  body?: unknown;
  ifMatch?: number;
  idempotencyKey?: string;
  signal?: AbortSignal;
}

/** Makes a client with a method for each operation of the API. */
export function connect(options: Options): Client {
  const caller = new Caller(options);
  const client: Record<string, unknown> = {
    each: (id: ID, input?: Loose) => caller.each(id, input ?? {}),
    stream: (o?: StreamOptions) => caller.stream(o ?? {}),
    ingest: (lines: unknown[], o?: Loose) => caller.ingest(lines, o ?? {}),
  };
  for (const id of Object.keys(table) as ID[]) {
    if (id !== "streamEvents" && id !== "ingestEvents") client[id] = (input?: Loose) => caller.call(id, input ?? {});
  }
  return client as unknown as Client;
}

class Caller {
  constructor(private readonly options: Options) {}

  private address(id: ID, input: Loose): string {
    const path = table[id][1].replace(/\{(\w+)\}/g, (_, name: string) => {
      const value = input.path?.[name] ?? "";
      if (value === "" || value === "." || value === "..") throw new Error(`${id}: ${JSON.stringify(value)} is no ${name}`);
      return encodeURIComponent(value);
    });
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(input.query ?? {})) {
      for (const v of Array.isArray(value) ? value : [value]) if (v !== undefined && v !== null) query.append(name, String(v));
    }
    const text = query.toString();
    return this.options.address.replace(/\/+$/, "") + path + (text === "" ? "" : "?" + text);
  }

  private headers(more: Record<string, string>): Record<string, string> {
    return { Authorization: `Bearer ${this.options.key}`, ...more };
  }

  private send(address: string, init: RequestInit): Promise<Response> {
    return (this.options.fetch ?? fetch)(address, { redirect: "error", ...init });
  }

  /** Sends a request until it is answered, where that is safe: when it reads, or carries an Idempotency-Key. */
  private async repeat<T>(id: ID, input: Loose, headers: Record<string, string>, body: string | undefined, take: (text: string, res: Response) => T): Promise<T> {
    const [method, , keyed] = table[id];
    const address = this.address(id, input);
    if (keyed) headers["Idempotency-Key"] = input.idempotencyKey ?? randomKey();
    if (input.ifMatch !== undefined) headers["If-Match"] = `"${input.ifMatch}"`;
    for (let attempt = 1; ; attempt++) {
      try {
        const limit = AbortSignal.timeout(this.options.timeout ?? 30_000);
        const signal = input.signal ? AbortSignal.any([input.signal, limit]) : limit;
        const res = await this.send(address, { method, headers: this.headers(headers), signal, ...(body === undefined ? {} : { body }) });
        const text = await res.text();
        if (!res.ok) throw problem(res, text);
        return take(text, res);
      } catch (err) {
        if (input.signal?.aborted) throw err;
        const wait = this.pause(err, attempt);
        if (wait === undefined || !(method === "GET" || keyed) || attempt >= (this.options.attempts ?? 5)) throw err;
        await sleep(wait, input.signal);
      }
    }
  }

  /** How long to wait before the next attempt; undefined: there is no sense in one. */
  private pause(err: unknown, attempt: number): number | undefined {
    const most = this.options.maxWait ?? 60_000;
    // Half of it is chance, so that clients that failed together do not come back together.
    const wait = Math.min(250 * 2 ** Math.min(attempt - 1, 10), most) * (0.5 + Math.random() / 2);
    if (err instanceof Problem) {
      return [429, 502, 503, 504].includes(err.status) && err.retryAfter <= most ? Math.max(wait, err.retryAfter) : undefined;
    }
    return err instanceof Unreadable ? undefined : wait;
  }

  call(id: ID, input: Loose): Promise<unknown> {
    const sends = input.body !== undefined || (table[id][0] !== "GET" && table[id][0] !== "DELETE");
    const body = sends ? JSON.stringify(input.body ?? {}) : undefined;
    return this.repeat(id, input, body === undefined ? {} : { "Content-Type": "application/json" }, body, (text, res) =>
      res.headers.get("Content-Type")?.startsWith("application/json") ? parse(text) : text,
    );
  }

  async *each(id: ID, input: Loose): AsyncGenerator<never, void, undefined> {
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = (await this.call(id, { ...input, query: { ...input.query, ...(cursor === undefined ? {} : { cursor }) } })) as { data: never[]; next_cursor: string | null };
      yield* page.data;
      cursor = page.next_cursor;
    }
  }

  ingest(lines: unknown[], input: Loose): Promise<IngestAnswer[]> {
    const type = "application/x-ndjson";
    return this.repeat("ingestEvents", input, { "Content-Type": type, Accept: type }, lines.map((l) => JSON.stringify(l) + "\n").join(""), (text) => {
      const answers = text.split("\n").filter((l) => l !== "").map((l) => parse(l) as IngestAnswer);
      if (answers.length !== lines.length) throw new Unreadable(`${answers.length} answers to ${lines.length} lines`);
      return answers;
    });
  }

  async *stream(options: StreamOptions): AsyncGenerator<Event, void, undefined> {
    const address = this.address("streamEvents", { query: options.query ?? {} });
    let position = options.after;
    let base = 0; // milliseconds, by the server's word
    let opened = false;
    for (let failed = 1; ; failed++) {
      const silent = new AbortController();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const alive = () => {
        clearTimeout(timer);
        timer = setTimeout(() => silent.abort(new Error("the stream was silent for too long")), this.options.silence ?? 45_000);
      };
      let why: unknown = new Error("the stream ended");
      try {
        alive();
        const res = await this.send(address, {
          headers: this.headers({ Accept: "text/event-stream", ...(position === undefined ? {} : { "Last-Event-ID": String(position) }) }),
          signal: options.signal ? AbortSignal.any([options.signal, silent.signal]) : silent.signal,
        });
        if (!res.ok || res.body === null) throw problem(res, await res.text());
        for await (const m of messages(res.body, alive)) {
          if (m.retry !== undefined) base = Math.min(m.retry, this.options.maxWait ?? 60_000);
          if (m.id === undefined) continue;
          [failed, opened] = [0, true];
          const seq = Number(m.id);
          if (position !== undefined && seq <= position) continue;
          const event = m.event === "heartbeat" ? undefined : (parse(m.data) as Event);
          position = seq;
          if (event) yield event;
        }
      } catch (err) {
        why = err;
      } finally {
        clearTimeout(timer);
        silent.abort();
      }
      if (options.signal?.aborted) throw why;
      const wait = this.pause(why, Math.max(failed, 1));
      if (wait === undefined || (!opened && failed >= (this.options.attempts ?? 5))) throw why;
      await sleep(Math.max(wait, base), options.signal);
    }
  }
}

interface Message {
  id?: string;
  event?: string;
  data: string;
  retry?: number;
}

/** Reads a stream (HTML, 9.2.5). What was begun and not finished is dropped: it comes again. */
async function* messages(body: ReadableStream<Uint8Array>, alive: () => void): AsyncGenerator<Message, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let m: Message = { data: "" };
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const raw of lines) {
        const line = raw.replace(/\r$/, "");
        if (line === "") {
          yield m;
          m = { data: "" };
          continue;
        }
        const at = line.indexOf(":");
        const name = at < 0 ? line : line.slice(0, at);
        const text = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
        if (name === "id") m.id = text;
        else if (name === "event") m.event = text;
        else if (name === "data") m.data += (m.data === "" ? "" : "\n") + text;
        else if (name === "retry" && /^\d+$/.test(text)) m.retry = Number(text);
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined); // it broke off
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (err) {
    throw new Unreadable(String(err));
  }
}

function problem(res: Response, text: string): Problem {
  let p: Partial<Schemas["Problem"]> = {};
  if (res.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    try {
      p = JSON.parse(text) as Partial<Schemas["Problem"]>;
    } catch {
      // of a proxy: the status is all that is known
    }
  }
  const said = res.headers.get("Retry-After") ?? "";
  const after = /^\d+$/.test(said) ? Number(said) * 1000 : Date.parse(said) - Date.now();
  return new Problem(res.status, p.code ?? "", p.detail ?? res.statusText, p.errors ?? [], p.request_id ?? "", after > 0 ? after : 0);
}

function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((done, failed) => {
    const stop = () => {
      clearTimeout(timer);
      failed(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      done();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
