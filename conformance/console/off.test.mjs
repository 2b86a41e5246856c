// Nothing can be written: every screen says so and why, no button leads to a refusal, and the API refuses all the same.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { axe, browser, page, SHOTS } from "./browser.mjs";
import { freePort, start, until } from "./bed.mjs";
import { all, CLASS, gateway, route, service } from "./documents.mjs";
import { refused } from "./hands.mjs";
import { SCREENS } from "./screens.mjs";

const OWNER = "the platform team";
const SAYS = { en: `Documents are not written here: the server's settings say so (write-mode: off); ${OWNER} writes them.`, zh: `此处不可写入文档:由服务器设置决定(write-mode: off)。文档由 ${OWNER} 写入。` };
const PATH = "/api/v1/namespaces/shop/httproutes/orders";
let bed;
let chrome;
let text;

const folder = () => readdirSync(bed.folder).map((name) => [name, readFileSync(join(bed.folder, name), "utf8")]);

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  const registry = `apiVersion: isthmus.dev/v1alpha1
kind: Registry
metadata: {name: nacos, namespace: shop}
spec: {type: Nacos, addresses: ['127.0.0.1:${await freePort()}']}
`;
  text = all(CLASS, gateway("edge", await freePort()), service("orders", 1), service("users", 1), route("orders", "shop.test", [["orders", 1], ["users", 1]]), registry);
  bed = await start({ files: { "shop.yaml": text }, gateways: [{ gateway: "shop/edge", node: "shop-edge-0" }], flags: ["--write-mode", "off", "--write-mode-owner", OWNER] });
  chrome = await browser();
});

after(async () => {
  await chrome?.close();
  await bed?.close();
});

for (const locale of ["en", "zh"]) {
  test(`every screen says that nothing can be written, and why: ${locale}`, async () => {
    const tab = await page(chrome, bed, { locale, theme: locale === "en" ? "light" : "dark", width: 1280, height: 800 });
    for (const [name, path] of Object.entries(SCREENS)) {
      await tab.open(path);
      await tab.waitForSelector("main h1");
      await tab.getByText(SAYS[locale], { exact: true }).first().waitFor();
      if (name === "route-yaml") {
        await tab.locator(".cm-content").first().waitFor();
        assert.deepEqual(await axe(tab), []);
        await tab.screenshot({ path: `${SHOTS}off-${locale === "en" ? "light-en" : "dark-zh"}.png` });
      }
      assert.deepEqual(tab.troubles, [], path);
    }
  });
}

test("what would write says why it does not, and opens nothing", async () => {
  // Whoever owns the folder writes it, so that there is a revision to go back to.
  writeFileSync(join(bed.folder, "more.yaml"), service("more", 1));
  await until("a second revision", async () => (await bed.api("/api/v1/revisions")).body.total === 2);
  const tab = await page(chrome, bed);
  const written = {
    "/routes/httproutes/shop/orders?tab=yaml": ["Save…", "Delete…"],
    "/routes/httproutes/shop/orders?tab=form": ["Save…"],
    "/documents": ["New document"],
    "/documents?new=1": ["New document"],
    "/wizards/publish": ["Preview"],
    "/wizards/shift?route=shop/orders": ["Preview"],
    "/wizards/blue-green?tab=setup": ["Preview"],
    "/wizards/registry": ["Preview"],
    "/revisions/r1": [/Roll back/],
  };
  for (const [path, names] of Object.entries(written)) {
    await tab.open(path);
    await tab.waitForSelector("main h1");
    for (const name of names) {
      const button = tab.getByRole("main").getByRole("button", { name }).first();
      await button.waitFor();
      assert.equal(await button.getAttribute("aria-disabled"), "true", `${path}: ${name}`);
      await button.focus();
      await tab.getByRole("tooltip").getByText(SAYS.en).waitFor();
      // It is there for the keyboard, so that its reason can be read; pressing it does nothing.
      await tab.keyboard.press("Enter");
      await button.click({ force: true });
      assert.equal(await tab.getByRole("dialog").count(), 0, path);
    }
  }
  assert.deepEqual(tab.troubles, []);
});

test("the API refuses all the same, and nothing is touched", async () => {
  const before = folder();
  const { headers, body } = await bed.api(PATH);
  const { status: _, ...document } = body;
  const match = { "if-match": headers.get("etag"), "content-type": "application/json" };
  const changed = JSON.stringify({ ...document, spec: { ...document.spec, hostnames: ["x.test"] } });
  const yaml = { "content-type": "application/yaml" };
  const tries = [
    [PATH, { method: "PUT", headers: match, body: changed }],
    [`${PATH}?force=true`, { method: "PUT", headers: match, body: changed }],
    [PATH, { method: "DELETE", headers: match }],
    ["/api/v1/apply", { method: "POST", headers: yaml, body: service("fresh", 1) }],
  ];
  for (const [path, options] of tries) {
    const answer = await bed.api(path, options);
    await refused(answer, 409, "ISM9017");
    assert.ok(answer.body.detail.includes(OWNER), answer.body.detail);
    assert.equal(answer.body.ownership.mode, "off");
  }
  const dry = await bed.api("/api/v1/apply?dryRun=true", { method: "POST", headers: yaml, body: service("fresh", 1) });
  assert.equal(dry.status, 200);
  assert.equal(dry.body.proposal, undefined, "nothing is proposed either");
  assert.equal(dry.body.gates.find((gate) => gate.name === "rights").state, "failed");
  assert.deepEqual(folder(), before);
  const { body: revisions } = await bed.api("/api/v1/revisions");
  assert.equal(revisions.total, 2, "nor is there a revision of it");
});
