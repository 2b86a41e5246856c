// The wizards by hand, each until `curl` sees what it is for.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { browser, page } from "./browser.mjs";
import { freePort, start, until } from "./bed.mjs";
import { all, CLASS, gateway, route, service } from "./documents.mjs";
import { apply, choose } from "./hands.mjs";

let bed;
let chrome;
let web;
let tab;
let backends;

before(async () => {
  web = await freePort();
  bed = await start({ files: { "gateway.yaml": all(CLASS, gateway("edge", web)) }, gateways: ["shop/edge"] });
  backends = {};
  for (const name of ["orders", "orders-v2", "by-hand", "imported"]) backends[name] = await bed.echo(name);
  const text = all(...["orders", "orders-v2", "imported"].map((name) => service(name, backends[name].port)));
  const headers = { "content-type": "application/yaml" };
  const made = await bed.api("/api/v1/apply", { method: "POST", body: text, headers });
  assert.equal(made.status, 200, JSON.stringify(made.body));
  chrome = await browser();
  tab = await page(chrome, bed);
});

after(async () => {
  await chrome?.close();
  await bed?.close();
});

const answers = (host, service, path = "/") =>
  until(`${host}${path} is answered by ${service}`, async () => {
    const { status, body } = await bed.curl(web, host, path);
    return status === 200 && body.service === service;
  });

test("publish a service that is known", async () => {
  await tab.open("/wizards/publish");
  await choose(tab, "A service that is known", "shop/orders");
  await choose(tab, "Gateway", "shop/edge");
  await tab.getByLabel("Hosts").fill("orders.test");
  await tab.getByRole("button", { name: "Preview" }).click();
  await apply(tab, /HTTPRoute/, { reason: "orders go public" });
  await answers("orders.test", "orders");
  await tab.waitForURL(/\/routes\/httproutes\/shop\/orders/);
  const { body } = await bed.api("/api/v1/revisions");
  assert.equal(body.items[0].reason, "orders go public");
});

test("publish addresses that somebody types", async () => {
  await tab.open("/wizards/publish?ns=shop");
  await tab.getByText("Addresses that I type").click();
  await tab.getByLabel("Name of the service").fill("typed");
  await tab.getByRole("textbox", { name: "Addresses" }).fill(`127.0.0.1:${backends["by-hand"].port}`);
  await choose(tab, "Gateway", "shop/edge");
  await tab.getByLabel("Hosts").fill("typed.test");
  await tab.getByLabel("Name of the route").fill("typed");
  await tab.getByRole("button", { name: "Preview" }).click();
  await apply(tab, /MeshService/);
  await answers("typed.test", "by-hand");
});

test("shift traffic: a second back end, then a part of the requests", async () => {
  await tab.open("/wizards/shift?route=shop/orders");
  await choose(tab, "New back end", "shop/orders-v2");
  await tab.getByRole("button", { name: "Add a back end" }).click();
  await tab.getByRole("textbox", { name: "Share of shop/orders-v2, in %" }).fill("30");
  await tab.getByRole("button", { name: "Preview" }).click();
  await apply(tab, /weight/);
  await until("both answer", async () => {
    const by = {};
    for (let n = 0; n < 40; n += 1) {
      const { body } = await bed.curl(web, "orders.test");
      by[body.service] = (by[body.service] ?? 0) + 1;
    }
    // Of 40 draws at 30 %, none or all happen once in a million.
    return by.orders > 0 && by["orders-v2"] > 0;
  });
  const { body } = await bed.api("/api/v1/namespaces/shop/httproutes/orders");
  assert.deepEqual(body.spec.rules[0].backendRefs.map((one) => one.weight), [700, 300]);
});

test("import an HTTPProxy: what cannot be kept is said before anything is written", async () => {
  await tab.open("/import?ns=shop");
  await tab.getByRole("textbox", { name: "What to import" }).fill(`apiVersion: projectcontour.io/v1
kind: HTTPProxy
metadata: {name: legacy, namespace: shop}
spec:
  virtualhost: {fqdn: legacy.test}
  routes:
  - conditions: [{prefix: /}]
    loadBalancerPolicy: {strategy: Cookie}
    services: [{name: imported, port: 80}]
`);
  await tab.getByRole("button", { name: "Convert" }).click();
  await tab.getByRole("region", { name: "What became of it" }).getByText("kept").first().waitFor();
});

test("connect a registry: what its addresses answer is shown", async () => {
  // Nobody is there: a registry that is lost must not look like one that is empty.
  const nobody = createServer((_, answer) => answer.writeHead(503).end());
  await new Promise((done) => nobody.listen(0, "127.0.0.1", done));
  const { port } = nobody.address();
  try {
    await tab.open("/wizards/registry?ns=shop");
    await choose(tab, "Type", "Eureka");
    await tab.getByLabel("Name of the registry").fill("eureka");
    await tab.getByRole("textbox", { name: "Addresses" }).fill(`127.0.0.1:${port}`);
    await tab.getByRole("button", { name: "Preview" }).click();
    await apply(tab, /Registry/);
    await tab.getByText("What its addresses answer").waitFor();
    await tab.locator("main").getByText(/503/).first().waitFor();
  } finally {
    nobody.closeAllConnections();
    await new Promise((done) => nobody.close(done));
  }
});

test("nothing of it made the browser complain", () => assert.deepEqual(tab.troubles, []));
