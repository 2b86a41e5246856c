// A staged rollout on ten Envoys: the new revision fails half of its requests, and everybody is back on the old one without
// anybody doing anything.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, page } from "./browser.mjs";
import { freePort, load, start, until } from "./bed.mjs";
import { all, CLASS, gateway, route, service } from "./documents.mjs";

const PROXIES = 10;
const YAML = { "content-type": "application/yaml" };
const CAREFUL = `apiVersion: isthmus.dev/v1alpha1
kind: ConfigRollout
metadata: {name: careful, namespace: shop}
spec:
  targetRefs: [{name: edge}]
  steps: [{percent: 20, pause: 2s}, {percent: 50, pause: 2s}]
  gates: {maxErrorRatio: 0.05, minRequests: 30, window: 10s}
`;
let bed;
let chrome;
let web;

const push = async (text, query = "") => {
  const { status, body } = await bed.api(`/api/v1/apply${query}`, { method: "POST", body: text, headers: YAML });
  assert.equal(status, 200, JSON.stringify(body).slice(0, 2000));
  return body;
};
const rollout = async () => (await bed.api("/api/v1/rollouts")).body.items[0];
const editions = async () => {
  const { items } = (await bed.api("/api/v1/proxies")).body;
  return items.map((proxy) => proxy.edition ?? "");
};

before(async () => {
  web = await freePort();
  bed = await start({ files: { "class.yaml": CLASS }, gateways: [] });
  const shop = await bed.echo("shop");
  await push(all(gateway("edge", web), service("shop", shop.port), route("shop", "shop.test", ["shop"]), CAREFUL));
  // All ten listen on the one port, and the system spreads connections over them.
  for (let n = 0; n < PROXIES; n += 1) await bed.envoy("shop/edge", `edge-${n}`);
  await bed.proxiesInStep(PROXIES);
  chrome = await browser();
});

after(async () => {
  await chrome?.close();
  await bed?.close();
});

test("a revision that fails half of its requests comes back by itself", async () => {
  await until("it answers", async () => (await bed.curl(web, "shop.test")).status === 200);
  const requests = load(web, "shop.test", 150, "/", { fresh: true });
  await push(route("shop", "shop.test", [["shop", 50], ["nobody", 50]]), "?force=true&reason=half+of+it+is+broken");
  const under = await until("the first step has it", async () => {
    const one = await rollout();
    return one?.state === "progressing" && one.proxies.length > 0 && one;
  });
  assert.ok(under.proxies.length <= PROXIES / 2, `the first step is not everybody: ${under.proxies}`);
  const back = await until("it comes back by itself", async () => {
    const one = await rollout();
    return one.state === "returned" && one;
  }, 60_000);
  assert.match(back.reason, /error/i);
  const tab = await page(chrome, bed);
  await tab.open("/rollouts");
  await tab.getByText("went back by itself").first().waitFor();
  const failed = requests.report.failed.length;
  assert.ok(failed > 0);
  const sent = requests.report.sent;
  await until("300 more requests", async () => requests.report.sent >= sent + 300);
  const report = await requests.stop();
  const late = report.failed.length - failed;
  assert.ok(late <= 5, `after the return ${late} more failed: ${report.failed.slice(failed, failed + 3)}`);
  assert.equal(new Set(await editions()).size, 1, "everybody is served the same again");
  console.log(`rollout: ${report.sent} requests, ${failed} failed (${((100 * failed) / sent).toFixed(1)} %) until it came back, ${late} on their way after; first step: ${under.proxies.length} of ${PROXIES} proxies; ${back.reason}`);

  // A good one goes all the way.
  const again = load(web, "shop.test", 150, "/", { fresh: true });
  await push(route("shop", "shop.test", ["shop"], { path: "/" }).replace("hostnames:", "# mended\n  hostnames:").replace("metadata: {name: shop", "metadata: {labels: {mended: 'yes'}, name: shop"));
  await until("it goes through", async () => {
    const one = await rollout();
    if (["done", "waiting"].includes(one.state)) return true;
    throw new Error(JSON.stringify(one));
  }, 90_000);
  assert.deepEqual((await again.stop()).failed, []);
});
