// Every screen, light and dark, in both languages: it opens without an error, asks nobody but us, axe finds nothing, and its
// picture lies in console/tests/__shots__ for somebody to look at.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { axe, browser, page, SHOTS } from "./browser.mjs";
import { freePort, start, until } from "./bed.mjs";
import { all, certificate, CLASS, gateway, route, service } from "./documents.mjs";
import { SCREENS } from "./screens.mjs";

// The pictures that are kept: of the others, what is said of them is enough.
const KEPT = ["light-en", "dark-zh"];
const VARIANTS = [
  ["light", "en"],
  ["dark", "en"],
  ["light", "zh"],
  ["dark", "zh"],
];

let bed;
let chrome;

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  const web = await freePort();
  bed = await start({ files: { "class.yaml": CLASS }, gateways: [] });
  const [orders, users] = [await bed.echo("orders"), await bed.echo("users")];
  const registry = `apiVersion: isthmus.dev/v1alpha1
kind: Registry
metadata: {name: nacos, namespace: shop}
spec: {type: Nacos, addresses: ['127.0.0.1:${await freePort()}']}
`;
  const text = all(
    CLASS,
    `${gateway("edge", web)}  - name: tls
    port: ${await freePort()}
    protocol: HTTPS
    hostname: shop.test
    tls: {certificateRefs: [{name: shop-tls}]}
`,
    certificate("shop-tls", "shop.test", 20),
    service("orders", orders.port),
    service("users", users.port),
    route("orders", "shop.test", [["orders", 90], ["users", 10]], { path: "/orders" }),
    route("users", "shop.test", ["users"], { path: "/users" }),
    route("gone", "shop.test", ["nobody"], { path: "/gone" }),
    registry,
  );
  // One back end is missing, so that problems have something to show.
  const made = await bed.api("/api/v1/apply?force=true&reason=the+shop+opens", {
    method: "POST",
    body: text,
    headers: { "content-type": "application/yaml" },
  });
  assert.equal(made.status, 200, JSON.stringify(made.body));
  await bed.envoy("shop/edge", "shop-edge-0");
  await bed.proxiesInStep(1);
  for (let n = 0; n < 40; n += 1) await bed.curl(web, "shop.test", n % 8 === 0 ? "/gone" : `/orders/${n}`);
  await until("the proxy has reported its requests", async () => (await bed.api("/api/v1/requests?limit=100")).body.items.length >= 40);
  const { body } = await bed.api("/api/v1/namespaces/shop/secrets/shop-tls");
  assert.deepEqual(body.status.certificate.hosts, ["shop.test"]);
  assert.doesNotMatch(JSON.stringify(body), /BEGIN|LS0t/);
  const routes = await bed.api("/api/v1/traffic/routes?sort=-errors");
  assert.deepEqual(routes.body.items.map((one) => one.name).sort(), ["gone", "orders"]);
  assert.equal(routes.body.items[0].name, "gone");
  assert.equal(routes.body.items[0].errors, 1);
  chrome = await browser();
});

after(async () => {
  await chrome?.close();
  await bed?.close();
});

for (const [theme, locale] of VARIANTS) {
  test(`${theme}, ${locale}`, async (t) => {
    const tab = await page(chrome, bed, { theme, locale, width: 1280, height: 800 });
    for (const [name, path] of Object.entries(SCREENS)) {
      await t.test(name, async () => {
        tab.troubles.length = 0;
        await tab.open(path);
        await tab.waitForSelector("main h1");
        // One thing that has come may ask for the next: an editor, a picture.
        let still = 0;
        await until("nothing is loading any more", async () => {
          still = (await tab.locator(".bone, [data-loading=true]").count()) === 0 ? still + 1 : 0;
          return still === 5;
        });
        await tab.waitForFunction(() => document.fonts.status === "loaded");
        if (KEPT.includes(`${theme}-${locale}`)) await tab.screenshot({ path: `${SHOTS}${name}-${theme}-${locale}.png` });
        assert.deepEqual(tab.troubles, []);
        assert.deepEqual(await axe(tab), []);
      });
    }
  });
}
