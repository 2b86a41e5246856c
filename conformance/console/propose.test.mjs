// Documents that live in somebody's repository: the console proposes, its patch is applied by hand in the folder, and the console
// shows that it is served. Nothing is written by any other way.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { axe, browser, page, SHOTS } from "./browser.mjs";
import { freePort, start, until } from "./bed.mjs";
import { all, CLASS, gateway, route, service } from "./documents.mjs";
import { choose, refused } from "./hands.mjs";

const OWNER = "the shop's Git repository";
const PATH = "/api/v1/namespaces/shop/httproutes/orders";
let bed;
let chrome;
let tab;
let web;

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  web = await freePort();
  const flags = ["--write-mode", "propose", "--write-mode-owner", OWNER, "--write-mode-namespaces", "infra-*=off"];
  bed = await start({ files: { "gateway.yaml": all(CLASS, gateway("edge", web)) }, gateways: ["shop/edge"], flags });
  const [orders, users] = [await bed.echo("orders"), await bed.echo("users")];
  const services = all(service("orders", orders.port), service("users", users.port));
  writeFileSync(join(bed.folder, "services.yaml"), services);
  writeFileSync(join(bed.folder, "infra.yaml"), service("dns", 1).replace("namespace: shop", "namespace: infra-a"));
  const weights = route("orders", "shop.test", [["orders", 100], ["users", 0]]);
  const note = "  # Flipped by the night shift only.\n  hostnames";
  writeFileSync(join(bed.folder, "orders.yaml"), weights.replace("  hostnames", note));
  await answers("orders");
  chrome = await browser();
  tab = await page(chrome, bed);
  await tab.context().grantPermissions(["clipboard-read", "clipboard-write"]);
});

after(async () => {
  await chrome?.close();
  await bed?.close();
});

const answers = (service, host = "shop.test") =>
  until(`${host} is answered by ${service}`, async () => (await bed.curl(web, host)).body.service === service);

const revisions = async () => (await bed.api("/api/v1/revisions")).body.total;

/** The proposal that is open, downloaded and applied in the folder as its text says; the dialog is closed. */
async function takePatch() {
  const dialog = tab.getByRole("dialog");
  await dialog.getByText(`by ${OWNER}`).first().waitFor();
  assert.equal(await dialog.getByRole("button", { name: /Apply/ }).count(), 0, "nothing to press that would be refused");
  assert.equal(await dialog.getByRole("alert").count(), 0);
  const [file] = await Promise.all([tab.waitForEvent("download"), dialog.getByRole("button", { name: "Download patch" }).click()]);
  const text = readFileSync(await file.path(), "utf8");
  const said = await dialog.getByText(/patch -p1 < \S+/).first().textContent();
  assert.equal(/patch -p1 < (\S+)/.exec(said)[1], file.suggestedFilename());
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await dialog.waitFor({ state: "hidden" });
  execFileSync("git", ["apply", "--check", "--unidiff-zero", "-"], { cwd: bed.folder, input: text });
  execFileSync("patch", ["-p1"], { cwd: bed.folder, input: text });
  return text;
}

test("an edit by the form ends in a patch, and is served once somebody has applied it", async () => {
  const before = await revisions();
  await tab.open("/routes/httproutes/shop/orders?tab=form");
  await tab.getByText(`for whoever writes the documents: ${OWNER}`).waitFor();
  await tab.getByRole("textbox", { name: "Weight" }).first().fill("0");
  await tab.getByRole("textbox", { name: "Weight" }).last().fill("100");
  await tab.getByRole("button", { name: "Propose…" }).click();
  const dialog = tab.getByRole("dialog");
  await dialog.getByText("Proposal: Save HTTPRoute shop/orders").waitFor();
  await dialog.getByRole("tab", { name: /Patch/ }).click();
  await dialog.getByText("+++ b/orders.yaml").waitFor();
  assert.deepEqual(await axe(tab), []);
  await tab.screenshot({ path: `${SHOTS}proposal-light-en.png` });
  const patch = await takePatch();
  assert.match(patch, /^-.*weight: 100.*\n\+.*weight: 0/m);
  await answers("users");
  assert.match(readFileSync(join(bed.folder, "orders.yaml"), "utf8"), /# Flipped by the night shift only/);
  // What is written is no draft any more, and nobody is told that somebody else was faster.
  await until("the draft has gone", async () => (await tab.getByText("Not saved yet").count()) === 0);
  assert.equal(await tab.getByText("Somebody else has changed this object").count(), 0);
  await tab.open("/revisions");
  await until("one revision more", async () => (await revisions()) === before + 1);
  await tab.open("/routes/httproutes/shop/orders?tab=history");
  await tab.getByText("/spec/rules/0/backendRefs/0/weight").first().waitFor();
});

test("what a wizard makes is copied as YAML, and served once it is in the folder", async () => {
  await tab.open("/wizards/publish");
  await choose(tab, "A service that is known", "shop/users");
  await choose(tab, "Gateway", "shop/edge");
  await tab.getByLabel("Hosts").fill("users.test");
  await tab.getByRole("button", { name: "Preview" }).click();
  const dialog = tab.getByRole("dialog");
  await dialog.getByText(/Proposal: /).waitFor();
  await dialog.getByRole("button", { name: "Copy YAML" }).click();
  await dialog.getByRole("button", { name: "Copied" }).waitFor();
  const yaml = await tab.evaluate(() => navigator.clipboard.readText());
  await dialog.getByRole("button", { name: "Close" }).last().click();
  writeFileSync(join(bed.folder, "users.yaml"), yaml);
  await answers("users", "users.test");
  await tab.open("/routes?ns=shop");
  await tab.getByRole("link", { name: "users", exact: true }).first().waitFor();
});

test("a deletion is a patch too", async () => {
  await tab.open("/routes/httproutes/shop/users");
  await tab.getByRole("button", { name: "Delete…" }).click();
  const patch = await takePatch();
  assert.match(patch, /^\+\+\+ \/dev\/null$/m);
  await until("the route is gone", async () => (await bed.curl(web, "users.test")).status === 404);
});

test("so is the way back to a revision", async () => {
  const { body } = await bed.api("/api/v1/revisions");
  const added = body.items.find((one) => one.objects.added === 1);
  await tab.open(`/revisions/${added.id}`);
  await tab.getByRole("button", { name: /Roll back/ }).click();
  const patch = await takePatch();
  assert.match(patch, /^--- \/dev\/null$/m);
  await answers("users", "users.test");
});

test("and in Chinese", async () => {
  const zh = await page(chrome, bed, { locale: "zh", theme: "dark" });
  await zh.open("/wizards/shift?route=shop/orders");
  await zh.getByText(`供写入这些文档的一方使用:${OWNER}`).waitFor();
  await zh.getByRole("textbox", { name: "shop/users" }).first().fill("50");
  await zh.getByRole("button", { name: "预览" }).click();
  const dialog = zh.getByRole("dialog");
  await dialog.getByText("提议:保存 HTTPRoute shop/orders").waitFor();
  await dialog.getByRole("tab", { name: /补丁/ }).click();
  await dialog.getByText("+++ b/orders.yaml").waitFor();
  assert.deepEqual(await axe(zh), []);
  await zh.screenshot({ path: `${SHOTS}proposal-dark-zh.png` });
  assert.deepEqual(zh.troubles, []);
});

test("where not even that is done, the page says so", async () => {
  await tab.open("/documents/meshservices/infra-a/dns?tab=yaml");
  await tab.getByText(/Documents are not written here.*write-mode: off.*Git repository/).waitFor();
  for (const name of ["Save…", "Delete…"]) {
    assert.equal(await tab.getByRole("button", { name }).first().getAttribute("aria-disabled"), "true", name);
  }
  await tab.open("/documents");
  await tab.getByText("infra-*: off").waitFor();
  assert.deepEqual(tab.troubles, []);
});

test("the API and the CLI refuse all the same, and say who writes", async () => {
  const { headers, body } = await bed.api(PATH);
  const { status: _, ...document } = body;
  const match = { "if-match": headers.get("etag"), "content-type": "application/json" };
  const put = await bed.api(PATH, { method: "PUT", headers: match, body: JSON.stringify({ ...document, spec: { ...document.spec, hostnames: ["x.test"] } }) });
  await refused(put, 409, "ISM9017");
  assert.ok(put.body.detail.includes(OWNER));
  assert.equal(put.body.ownership.mode, "propose");
  await refused(await bed.api(PATH, { method: "DELETE", headers: match }), 409, "ISM9017");
  // The CLI's dry run is the same patch.
  const file = join(bed.home, "proposed.json");
  writeFileSync(file, JSON.stringify({ ...document, spec: { ...document.spec, hostnames: ["y.test"] } }));
  const dry = await bed.cli("apply", "-f", file, "--dry-run");
  assert.match(dry.stdout, /^\+\+\+ b\/orders\.yaml$/m, dry.stderr);
  assert.match(dry.stdout, /^\+.*y\.test/m);
  const deleted = await bed.cli("delete", "httproute", "orders", "-n", "shop", "--yes");
  assert.notEqual(deleted.code, 0);
  assert.ok(deleted.stderr.includes(OWNER), deleted.stderr);
  assert.match(readFileSync(join(bed.folder, "orders.yaml"), "utf8"), /shop\.test/);
});
