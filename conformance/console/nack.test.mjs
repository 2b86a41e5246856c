// One of a thousand routes is refused by Envoy: it is named everywhere, the others go on, and once it is mended all is clean.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, page } from "./browser.mjs";
import { freePort, load, start, until } from "./bed.mjs";
import { all, CLASS, gateway, route, service } from "./documents.mjs";

const YAML = { "content-type": "application/yaml" };
// Isthmus takes this pattern, Envoy does not: its limit is the size of what RE2 makes of it.
const TOO_LARGE = `/${"[a-z]{1000}".repeat(34)}`;
let bed;
let chrome;
let web;

const push = async (text, query = "") => {
  const { status, body } = await bed.api(`/api/v1/apply${query}`, { method: "POST", body: text, headers: YAML });
  assert.equal(status, 200, JSON.stringify(body).slice(0, 2000));
  return body;
};

before(async () => {
  web = await freePort();
  bed = await start({ files: { "class.yaml": CLASS }, gateways: [] });
  const shop = await bed.echo("shop");
  const routes = Array.from({ length: 999 }, (_, n) => route(`r${n}`, `r${n}.test`, ["shop"], { path: "/v1" }));
  await push(all(CLASS, gateway("edge", web), service("shop", shop.port), ...routes, route("special", "special.test", ["shop"])));
  await bed.envoy("shop/edge", "edge-1");
  await bed.proxiesInStep(1);
  chrome = await browser();
});

after(async () => {
  await chrome?.close();
  await bed?.close();
});

test("the whole story of a refusal", async () => {
  const ok = async (host, path) => (await bed.curl(web, host, path)).status;
  await until("all is live", async () => (await ok("special.test", "/")) === 200 && (await ok("r998.test", "/v1")) === 200);
  const bad = await push(route("special", "special.test", ["shop"], { type: "RegularExpression", path: TOO_LARGE }), "?force=true&reason=a+clever+pattern");
  const proxy = await until("the proxy says no", async () => {
    const [one] = (await bed.api("/api/v1/proxies")).body.items;
    return one.edition && one;
  });
  assert.ok(proxy.types.some((type) => type.nack?.origins.some((origin) => origin.includes("shop/special"))), JSON.stringify(proxy));

  // In the console: proxy, problem, revision, and the route itself.
  const tab = await page(chrome, bed);
  for (const [path, words] of [
    ["/proxies", /refused/i],
    ["/proxies/edge-1", /shop\/special/],
    ["/problems", /shop\/special|special/],
    [`/revisions/${bad.revision}`, /special/],
    ["/routes/httproutes/shop/special", /edge-1/],
  ]) {
    await tab.open(path);
    await tab.locator("main").getByText(words).first().waitFor();
  }
  const nacks = await bed.cli("proxy", "nacks");
  assert.match(nacks.stdout, /special/);
  const problems = await bed.cli("problems");
  assert.match(problems.stdout, /ISM2401/);

  // The others get what is new, and the bad one's last good form stays.
  await push(route("r7", "r7.test", ["shop"], { path: "/v2" }));
  await until("another edit is live", async () => (await ok("r7.test", "/v2")) === 200 && (await ok("r7.test", "/v1")) === 404);
  assert.equal(await ok("special.test", "/"), 200);
  for (const n of [0, 499, 998]) assert.equal(await ok(`r${n}.test`, "/v1"), 200);

  await push(route("special", "special.test", ["shop"], { path: "/mended" }));
  await until("it is mended, without a restart", async () => (await ok("special.test", "/mended")) === 200);
  await until("nothing is left of it", async () => {
    const [one] = (await bed.api("/api/v1/proxies")).body.items;
    const { body } = await bed.api("/api/v1/findings");
    return one.inStep && !one.edition && body.items.every((finding) => finding.code !== "ISM2401");
  });
  assert.equal((await bed.cli("proxy", "nacks")).code, 0);
});

test("a bad revision is taken back from the command line, under load", async () => {
  const requests = load(web, "r1.test", 100, "/v1");
  const good = (await bed.api("/api/v1/revisions")).body.items[0].id;
  await push(route("r1", "r1.test", ["nobody"], { path: "/v1" }), "?force=true&reason=a+mistake");
  await until("requests fail", async () => requests.report.failed.length > 0);
  const back = await bed.cli("rollback", good, "--yes", "--reason", "that was wrong");
  assert.equal(back.code, 0, back.stderr);
  await until("it is good again", async () => (await bed.curl(web, "r1.test", "/v1")).status === 200);
  const failed = requests.report.failed.length;
  const sent = requests.report.sent;
  await until("200 more were sent", async () => requests.report.sent >= sent + 200);
  const report = await requests.stop();
  // Those that were on their way when it came back.
  assert.ok(report.failed.length <= failed + 2, report.failed.slice(failed).join("\n"));
  const [newest] = (await bed.api("/api/v1/revisions")).body.items;
  assert.equal(newest.reason, "that was wrong");
  assert.ok(newest.rollbackOf, JSON.stringify(newest));
  console.log(`rollback: ${report.sent} requests, ${failed} failed while the bad revision was served, ${report.failed.length - failed} after the rollback`);
});
