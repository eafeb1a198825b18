// The examples of docs/clients.md and what the client promises, against a real server: client/typescript_test.go compiles and runs it.
import { connect, Problem, type Event } from "../src/index.js";

declare const process: { env: Record<string, string | undefined> };
const address = process.env["PERENNIAL_ADDRESS"] ?? "";
const key = process.env["PERENNIAL_KEY"] ?? "";

function same(got: unknown, want: unknown, what: string): void {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

const shop = connect({ address, key });
const until = `${new Date().getFullYear() + 1}-03-01`;

// Make a subscription and pause it.
const tea = await shop.createProduct({ body: { title: "Green tea" } });
const bag = await shop.createProductVariant({ path: { id: tea.data.id }, body: { title: "1 kg", price: { amount: 2450, currency: "EUR" } } });
const jo = await shop.createCustomer({ body: { email: "jo@mail.example" } });
const made = await shop.createSubscription({
  body: { customer_id: jo.data.id, items: [{ variant_id: bag.data.id, quantity: 2 }], billing_policy: { interval: "month", interval_count: 1 } },
});
const id = made.data.id;
const paused = await shop.pauseSubscription({ path: { id }, body: { until, comment: "On holiday." } });
same([paused.data.status, paused.data.paused_until, paused.events[0]?.type], ["paused", until, "subscription.paused"], "the pause");

// A list asks for one page after the other.
for (const name of ["ann", "bea", "cem"]) await shop.createCustomer({ body: { email: `${name}@list.example`, tags: ["listed"] } });
const emails: unknown[] = [];
for await (const customer of shop.each("listCustomers", { query: { tag: "listed", limit: 2 } })) {
  emails.push(customer.email);
}
same(emails.sort(), ["ann@list.example", "bea@list.example", "cem@list.example"], "the list");

// What is refused.
try {
  await shop.createCustomer({ body: { email: "nobody" } });
  throw new Error("it was taken");
} catch (err) {
  if (!(err instanceof Problem)) throw err;
  same([err.status, err.code, err.errors.map((e) => `${e.pointer} ${e.code}`)], [422, "fields_refused", ["/email email_invalid"]], "the problem");
}
const stale = await shop.resumeSubscription({ path: { id }, ifMatch: made.data.version }).catch((err: unknown) => err);
same(stale instanceof Problem && stale.code, "stale_version", "an old version");
for (const bad of ["", ".."]) {
  const refused = await shop.getCustomer({ path: { id: bad } }).catch((err: unknown) => String(err));
  same(String(refused), `Error: getCustomer: ${JSON.stringify(bad)} is no id`, "an id that is none");
}

// Answers that get lost make nothing twice, and 503 is tried again.
let calls = 0;
const keys: (string | null)[] = [];
const lossy = connect({
  address,
  key,
  fetch: async (input, init) => {
    const res = await fetch(input, init);
    keys.push(new Headers(init?.headers).get("Idempotency-Key"));
    if (++calls === 1) throw new TypeError("lost");
    if (calls === 2) return new Response("{}", { status: 503, headers: { "Retry-After": "1" } });
    return res;
  },
});
const began = Date.now();
const lines = await lossy.ingest([{ type: "external.a", source: "till" }, { type: "bad", source: "till" }]);
same([lines.map((l) => l.status), calls, new Set(keys).size], [["created", "refused"], 3, 1], "what was lost");
if (Date.now() - began < 1000) throw new Error("Retry-After was not waited for");
const external = await shop.listEvents({ query: { type: ["external.*"] } });
same(external.data.length, 1, "events from outside");

// A stream that breaks off before its first event, and within one, goes on where it was.
const after: (string | null)[] = [];
const torn = connect({
  address,
  key,
  fetch: async (input, init) => {
    after.push(new Headers(init?.headers).get("Last-Event-ID"));
    const res = await fetch(input, init);
    if (after.length > 2 || res.body === null) return res;
    const reader = res.body.getReader();
    let left = after.length === 1 ? 45 : 900; // the first heartbeat; an event and a piece of the next
    const body = new ReadableStream<Uint8Array>({
      async pull(c) {
        const { value } = await reader.read();
        const piece = value?.slice(0, left) ?? new Uint8Array();
        left -= piece.length;
        c.enqueue(piece);
        if (left <= 0) {
          await reader.cancel();
          c.error(new TypeError("torn"));
        }
      },
    });
    return new Response(body, { status: res.status, headers: res.headers });
  },
});
const first = jo.events[0]?.seq ?? 0;
const want = (await shop.listEvents({ query: { order: "asc", type: ["customer.*", "subscription.*"] } })).data.filter((e) => e.seq > first).map((e) => e.seq);
const seen: Event[] = [];
for await (const event of torn.stream({ query: { type: ["customer.*", "subscription.*"] }, after: first, signal: AbortSignal.timeout(20_000) })) {
  seen.push(event);
  if (seen.length === want.length) break;
}
same(seen.map((e) => e.seq), want, "the stream");
same(after.length, 3, "connections");
