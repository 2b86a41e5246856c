// Two people, one object; and what strangers write must stay text.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, page } from "./browser.mjs";
import { freePort, start, until } from "./bed.mjs";
import { all, CLASS, gateway, route, service } from "./documents.mjs";

const PATH = "/api/v1/namespaces/shop/httproutes/orders";
const YAML = { "content-type": "application/yaml" };
let bed;
let chrome;
let web;

before(async () => {
  web = await freePort();
  bed = await start({ files: { "class.yaml": CLASS }, gateways: [] });
  const orders = await bed.echo("orders");
  const text = all(CLASS, gateway("edge", web), service("orders", orders.port), route("orders", "shop.test", ["orders"]));
  const made = await bed.api("/api/v1/apply", { method: "POST", body: text, headers: YAML });
  assert.equal(made.status, 200, JSON.stringify(made.body));
  await bed.envoy("shop/edge");
  await bed.proxiesInStep(1);
  chrome = await browser();
});

after(async () => {
  await chrome?.close();
  await bed?.close();
});

async function typed(tab, find, replacement) {
  const editor = tab.locator(".cm-content").first();
  await editor.waitFor();
  await editor.click();
  const text = await bed.api(PATH, { headers: { accept: "application/yaml" } });
  const { status: _, ...document } = (await bed.api(PATH)).body;
  assert.equal(text.status, 200);
  const whole = JSON.stringify(document, null, 2);
  assert.ok(whole.includes(find), `${find} in ${whole}`);
  await tab.keyboard.press("Control+A");
  await tab.keyboard.insertText(whole.replace(find, replacement));
}

test("the second of two editors is told, sees both changes, and can go on", async () => {
  const [one, two] = [await page(chrome, bed), await page(chrome, bed)];
  for (const tab of [one, two]) await tab.open("/routes/httproutes/shop/orders?tab=yaml");
  await typed(one, "shop.test", "first.test");
  await typed(two, '"value": "/"', '"value": "/second"');
  for (const tab of [one, two]) await tab.getByRole("button", { name: "Preview" }).or(tab.getByRole("button", { name: "Save" })).first().click();
  for (const tab of [one, two]) await tab.getByRole("dialog").getByRole("button", { name: "Apply", exact: true }).waitFor();
  await one.getByRole("dialog").getByRole("button", { name: "Apply", exact: true }).click();
  await one.getByRole("dialog").waitFor({ state: "hidden" });
  await until("the first is live", async () => (await bed.curl(web, "first.test")).status === 200);
  await two.getByRole("dialog").getByRole("button", { name: "Apply", exact: true }).click();
  const dialog = two.getByRole("dialog");
  await dialog.getByText("Somebody else has changed it meanwhile").waitFor();
  await dialog.getByText(/first\.test/).first().waitFor();
  await dialog.getByText(/second/).first().waitFor();
  await dialog.getByRole("button", { name: "Put mine on top of theirs" }).click();
  await dialog.getByRole("button", { name: "Apply", exact: true }).click();
  await dialog.waitFor({ state: "hidden" });
  const { body } = await bed.api(PATH);
  assert.equal(body.spec.rules[0].matches[0].path.value, "/second");
});

test("the API answers the same: 412 with the object as it is, 428 without a version", async () => {
  const { headers, body } = await bed.api(PATH);
  const etag = headers.get("etag");
  const { status: _, ...document } = body;
  const put = (value, match) =>
    bed.api(PATH, {
      method: "PUT",
      body: JSON.stringify({ ...document, metadata: { ...document.metadata, labels: { is: value } } }),
      headers: { "content-type": "application/json", ...(match ? { "if-match": match } : {}) },
    });
  assert.equal((await put("mine", etag)).status, 200);
  const late = await put("late", etag);
  assert.equal(late.status, 412);
  assert.equal(late.body.code, "ISM9015");
  assert.equal(late.body.current.metadata.labels.is, "mine");
  assert.equal((await put("blind")).status, 428);
});

test("what somebody writes into names and texts is shown as text", async () => {
  const evil = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';
  const { headers, body } = await bed.api(PATH);
  const { status: _, ...document } = body;
  document.metadata.annotations = { "shop.dev/note": evil };
  document.spec.rules[0].matches[0].headers = [{ name: "x-note", value: evil }];
  const wrote = await bed.api(`${PATH}?reason=${encodeURIComponent(evil)}`, {
    method: "PUT",
    body: JSON.stringify(document),
    headers: { "content-type": "application/json", "if-match": headers.get("etag") },
  });
  assert.equal(wrote.status, 200, JSON.stringify(wrote.body));
  const tab = await page(chrome, bed);
  for (const path of ["/routes", "/routes/httproutes/shop/orders", "/routes/httproutes/shop/orders?tab=yaml", "/revisions", "/revisions/r2", "/audit", "/why?url=http://shop.test/"]) {
    await tab.open(path);
    await tab.waitForSelector("main h1");
    await until("it is drawn", async () => (await tab.locator(".bone").count()) === 0);
    assert.equal(await tab.evaluate(() => window.hacked), undefined, path);
  }
  await tab.open("/revisions");
  await tab.getByText(evil).first().waitFor();
  assert.deepEqual(tab.troubles, []);
});

test("the stream of changes is cut and comes again, and what changed meanwhile is shown", async () => {
  const tab = await page(chrome, bed);
  await tab.open("/services");
  await tab.getByRole("banner").getByText("Live").waitFor();
  await bed.isthmus.end("SIGKILL");
  await tab.getByRole("banner").getByText(/Stream lost/).waitFor();
  const { writeFileSync } = await import("node:fs");
  writeFileSync(`${bed.folder}/late.yaml`, service("late", 1));
  await bed.restart();
  await tab.getByRole("banner").getByText("Live").waitFor({ timeout: 40_000 });
  await tab.getByText("late", { exact: true }).first().waitFor();
});
