// The pictures of the README, from the real thing, light and dark: who calls whom, a preview before a write, a refusal tied to its
// route, and a registry that is lost while its instances are held.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { browser, page } from "./browser.mjs";
import { eurekaServer, freePort, start, until } from "./bed.mjs";
import { all, CLASS, gateway, route, service } from "./documents.mjs";

const PICTURES = fileURLToPath(new URL("../../docs/pictures/", import.meta.url));
const YAML = { "content-type": "application/yaml" };
const TOO_LARGE = `/${"[a-z]{1000}".repeat(34)}`;
let bed;
let chrome;
let eureka;

before(async () => {
  mkdirSync(PICTURES, { recursive: true });
  const web = await freePort();
  bed = await start({ files: { "class.yaml": CLASS }, gateways: [] });
  const names = ["orders", "users", "pay", "legacy-stock", "legacy-mail"];
  const backs = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await bed.echo(name)])));
  eureka = await eurekaServer({ stock: [backs["legacy-stock"].port], mail: [backs["legacy-mail"].port] });
  const text = all(
    gateway("edge", web),
    ...["orders", "users", "pay"].map((name) => service(name, backs[name].port)),
    route("orders", "shop.test", [["orders", 90], ["users", 10]], { path: "/orders" }),
    route("users", "shop.test", ["users"], { path: "/users" }),
    route("pay", "shop.test", ["pay"], { path: "/pay" }),
    `apiVersion: isthmus.dev/v1alpha1
kind: Registry
metadata: {name: eureka, namespace: shop}
spec: {type: Eureka, addresses: ['127.0.0.1:${eureka.address().port}']}
`,
  );
  const made = await bed.api("/api/v1/apply?reason=the+shop+opens", { method: "POST", body: text, headers: YAML });
  assert.equal(made.status, 200, JSON.stringify(made.body).slice(0, 1000));
  await bed.envoy("shop/edge", "edge-7f9c");
  await bed.proxiesInStep(1);
  await until("the registry's services are known", async () => (await bed.api("/api/v1/services?q=stock")).body.total === 1);
  const asked = 90;
  for (let n = 0; n < asked; n += 1) await bed.curl(web, "shop.test", ["/orders", "/orders", "/users", "/pay", "/nowhere"][n % 5]);
  await until("all requests are reported", async () => (await bed.api("/api/v1/traffic/observation")).body.requests >= asked);
  chrome = await browser();
});

after(async () => {
  await chrome?.close();
  eureka?.closeAllConnections();
  eureka?.close();
  await bed?.close();
});

async function take(name, path, prepare = async () => {}) {
  for (const theme of ["light", "dark"]) {
    const tab = await page(chrome, bed, { theme, width: 1280, height: 800 });
    await tab.open(path);
    await tab.waitForSelector("main h1");
    await prepare(tab);
    await until("nothing is loading any more", async () => (await tab.locator(".bone, [data-loading=true]").count()) === 0);
    await tab.evaluate(() => document.fonts.ready.then(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))));
    await tab.screenshot({ path: `${PICTURES}${name}-${theme}.png` });
    await tab.context().close();
  }
}

test("topology", () => take("topology", "/topology", (tab) => tab.getByRole("application").waitFor()));

test("preview", () =>
  take("preview", "/wizards/shift?route=shop/orders", async (tab) => {
    await tab.getByRole("textbox", { name: "Share of shop/users, in %" }).fill("30");
    await tab.getByRole("button", { name: "Preview" }).click();
    await tab.getByRole("dialog").getByText(/weight/).first().waitFor();
  }));

test("a refusal, tied to its route", async () => {
  const body = route("pay", "shop.test", ["pay"], { type: "RegularExpression", path: TOO_LARGE });
  const made = await bed.api("/api/v1/apply?force=true&reason=a+clever+pattern", { method: "POST", body, headers: YAML });
  assert.equal(made.status, 200, JSON.stringify(made.body).slice(0, 1000));
  await until("it is refused", async () => (await bed.api("/api/v1/proxies")).body.items[0].edition);
  await take("refused", "/proxies/edge-7f9c", (tab) => tab.locator("main").getByText(/shop\/pay/).first().waitFor());
});

test("a registry that is lost, and its instances held", async () => {
  eureka.closeAllConnections();
  await new Promise((done) => eureka.close(done));
  await until("it is noticed", async () => {
    const { body } = await bed.api("/api/v1/namespaces/shop/registries/eureka");
    return body.status?.state !== "live" && body.status?.instances === 2;
  });
  await take("held", "/registries/shop/eureka", (tab) => tab.locator("main").getByText("stock").first().waitFor());
});
