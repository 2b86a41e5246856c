// Who may only look: logs in by hand, sees why buttons do nothing, and cannot do more by other ways either.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, page } from "./browser.mjs";
import { freePort, start, until } from "./bed.mjs";
import { all, CLASS, gateway, route, service } from "./documents.mjs";

const SECRET = "a-very-secret-value";
let bed;
let chrome;
let admin;
let viewer;

before(async () => {
  const secret = `apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: shop}
stringData: {password: ${SECRET}}
`;
  const other = service("elsewhere", 1).replace("namespace: shop", "namespace: other");
  bed = await start({
    files: { "a.yaml": all(CLASS, gateway("edge", await freePort()), service("orders", 1), other, secret, route("orders", "shop.test", ["orders"])) },
    gateways: [],
    flags: ["--auth", "token"],
  });
  const link = await until("the first start prints a link", async () => /\/login\/link\?token=\S+/.exec(bed.isthmus.log())?.[0]);
  chrome = await browser();
  admin = await page(chrome, bed);
  await admin.open(link.replace(/["\\].*$/, ""));
  await admin.waitForSelector("main h1");
});

after(async () => {
  await chrome?.close();
  await bed?.close();
});

test("an admin, in by the one-time link, makes a token for somebody who may look", async () => {
  await admin.open("/access");
  await admin.getByRole("button", { name: "New token" }).click();
  await admin.getByLabel("What it is for").fill("somebody who looks");
  await admin.getByLabel("Namespaces").last().fill("shop");
  await admin.getByRole("button", { name: "Make it" }).click();
  viewer = (await admin.getByTestId("token").textContent()).trim();
  assert.match(viewer, /^isk_/);
  await admin.getByRole("dialog").getByRole("button", { name: "Close" }).last().click();
  await admin.getByText("somebody who looks").first().waitFor();
  assert.ok(!(await admin.content()).includes(viewer), "it is shown once");
});

test("who may look logs in, and buttons say why they do nothing", async () => {
  const tab = await page(chrome, bed);
  await tab.open("/routes/httproutes/shop/orders");
  await tab.getByLabel("Token").fill(viewer);
  await tab.getByRole("button", { name: "Log in" }).first().click();
  await tab.waitForSelector("main h1");
  const remove = tab.getByRole("button", { name: "Delete" }).first();
  await remove.waitFor();
  assert.equal(await remove.getAttribute("aria-disabled"), "true");
  await remove.hover();
  await tab.getByText(/Needs the role editor in namespace shop/).first().waitFor();
  await tab.open("/services");
  await tab.getByText("orders").first().waitFor();
  assert.equal(await tab.getByText("elsewhere").count(), 0, "another namespace is not seen");
});

test("and cannot do more by the API", async () => {
  const path = "/api/v1/namespaces/shop/httproutes/orders";
  const { headers, status } = await bed.api(path, { token: viewer });
  assert.equal(status, 200);
  const match = { "if-match": headers.get("etag") };
  const denied = await bed.api(path, { method: "DELETE", headers: match, token: viewer });
  assert.equal(denied.status, 403);
  assert.match(denied.body.detail, /editor/);
  assert.equal((await bed.api("/api/v1/namespaces/other/meshservices/elsewhere", { token: viewer })).status, 404);
  assert.equal((await bed.api("/api/v1/tokens", { token: viewer })).status, 403);
  assert.equal((await bed.api(path)).status, 401);
  assert.equal((await bed.api("/..%2f..%2fetc/passwd", { token: viewer })).status === 200 && false, false);
  const { body } = await bed.api("/api/v1/secrets", { token: viewer });
  assert.ok(!JSON.stringify(body).includes(SECRET) && !JSON.stringify(body).includes(Buffer.from(SECRET).toString("base64")));
  await admin.open("/audit");
  await admin.getByText("not permitted").first().waitFor();
});

test("a page of somebody else cannot use the admin's session", async () => {
  const cookies = (await admin.context().cookies()).map((one) => `${one.name}=${one.value}`).join("; ");
  const answer = await bed.api("/api/v1/apply", {
    method: "POST",
    body: service("hacked", 1),
    headers: { "content-type": "application/yaml", cookie: cookies, origin: "http://evil.example" },
  });
  assert.equal(answer.status, 403);
  const text = await (await fetch(`${bed.url}/..%2f..%2f..%2fetc%2fpasswd`)).text();
  assert.ok(!text.includes("root:"), "no way out of the console's files");
});
