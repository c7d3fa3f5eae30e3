// The main flows with the generated TypeScript types: `node flows.js URL TOKEN`.
// It stops with an error at the first answer that is not as expected.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./daybook.js";

const [url, token] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

let keys = 0;
const header = (key = `typescript-${++keys}`) => ({ "Idempotency-Key": key });

/** The body of an answer that must be a success. */
function done<T>(answer: { data?: T; error?: unknown }): T {
  assert.ok(answer.data !== undefined, JSON.stringify(answer.error));
  return answer.data;
}

async function opened(name: string): Promise<string> {
  const body = { type: "checking", currency: "EUR", owner: "typescript", name } as const;
  return done(await client.POST("/v1/accounts", { params: { header: header() }, body })).account;
}

// Accounts and transfers, and a read of what was just written.
const source = await opened("Source");
const target = await opened("Target");
const deposit = done(
  await client.POST("/v1/accounts/{account}/deposits", {
    params: { path: { account: source }, header: header() },
    body: { currency: "EUR", amount: "100.00" },
  }),
);
assert.equal(deposit.balances?.[source].balance, "100.00"); // a transaction that waits has none

const transfer = (amount: string, key: string) =>
  client.POST("/v1/transfers", {
    params: { header: header(key) },
    body: { source, target, amount, currency: "EUR" },
  });

const moved = done(await transfer("30.00", "typescript-transfer"));
const account = done(
  await client.GET("/v1/accounts/{account}", {
    params: { path: { account: source }, query: { min_position: moved.position } },
  }),
);
const status: components["schemas"]["Account"]["status"] = "open";
assert.deepEqual([account.balance, account.status], ["70.00", status]);

const { error: refusal, response } = await transfer("70.01", "typescript-refused");
assert.equal(response.status, 422);
assert.equal(refusal?.code, "below_minimum");
assert.equal(refusal?.figures?.["available"], "70.00");

// What became of these commands.
const recorded = async (key: string) => done(await client.GET("/v1/commands/{key}", { params: { path: { key } } }));
const accepted = await recorded("typescript-transfer");
assert.equal(accepted.outcome, "accepted");
assert.ok("outcome" in accepted.answer);
assert.equal(accepted.answer.position, moved.position);
const refused = await recorded("typescript-refused");
assert.ok("code" in refused.answer);
assert.equal(refused.answer.code, "below_minimum");

// Orders.
const placed = async () =>
  done(
    await client.POST("/v1/orders", {
      params: { header: header() },
      body: {
        customer: "typescript",
        currency: "EUR",
        lines: [{ sku: "85123A", name: "Hanging heart", quantity: 6, unit_price: "2.55" }],
      },
    }),
  );
const order = await placed();
assert.equal(order.total, "15.30");
const path = { order: order.order };
const confirmed = done(
  await client.POST("/v1/orders/{order}/confirm", { params: { path, header: header() }, body: {} }),
);
assert.equal(confirmed.status, "confirmed");
const paid = done(
  await client.POST("/v1/orders/{order}/pay", { params: { path, header: header() }, body: { account: source } }),
);
assert.equal(paid.balances[source].balance, "54.70");
const bought = done(
  await client.GET("/v1/orders/{order}", { params: { path, query: { min_position: paid.position } } }),
);
assert.deepEqual([bought.status, bought.transaction], ["paid", paid.transaction]);
assert.equal(bought.lines[0].quantity, 6);

// A list, page by page.
const second = await placed();
const last = await placed();
const found: string[] = [];
let cursor: string | null = null;
do {
  const page: components["schemas"]["OrderPage"] = done(
    await client.GET("/v1/orders", {
      params: { query: { customer: "typescript", limit: 2, cursor, min_position: last.position } },
    }),
  );
  found.push(...page.items.map((item) => item.order));
  cursor = page.next;
} while (cursor !== null);
assert.deepEqual(found, [order.order, second.order, last.order]);

// Posts.
const draft = done(
  await client.POST("/v1/posts", {
    params: { header: header() },
    body: { author: "typescript", title: "On ledgers", body: "Facts are written down once, in order." },
  }),
);
const published = done(
  await client.POST("/v1/posts/{post}/publish", {
    params: { path: { post: draft.post }, header: header() },
    body: { slug: "on-ledgers-typescript" },
  }),
);
const post = done(
  await client.GET("/v1/posts/{post}", {
    params: { path: { post: draft.post }, query: { min_position: published.position } },
  }),
);
assert.deepEqual([post.status, post.slug], ["published", "on-ledgers-typescript"]);

console.log("done");
