// Blue-green by hand: two gateways behind an edge, set up and flipped in the console, under load, and not one request fails.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, page } from "./browser.mjs";
import { freePort, load, start, until } from "./bed.mjs";
import { all, CLASS, gateway, route, service } from "./documents.mjs";
import { apply, choose } from "./hands.mjs";

let bed;
let chrome;
let ports;

before(async () => {
  ports = { edge: await freePort(), blue: await freePort(), green: await freePort() };
  bed = await start({
    files: { "gateways.yaml": all(CLASS, ...Object.entries(ports).map(([name, port]) => gateway(name, port))) },
    gateways: ["shop/edge", "shop/blue", "shop/green"],
  });
  const [blue, green] = [await bed.echo("blue"), await bed.echo("green")];
  const text = all(
    service("blue-shop", blue.port),
    service("green-shop", green.port),
    route("blue-shop", "shop.test", ["blue-shop"], { gateway: "blue" }),
    route("green-shop", "shop.test", ["green-shop"], { gateway: "green" }),
  );
  const made = await bed.api("/api/v1/apply?wait=live", {
    method: "POST",
    body: text,
    headers: { "content-type": "application/yaml" },
  });
  assert.equal(made.status, 200, JSON.stringify(made.body));
  chrome = await browser();
});

after(async () => {
  await chrome?.close();
  await bed?.close();
});

test("set up in the wizard, flipped twice there and back at 300 requests a second", async () => {
  const tab = await page(chrome, bed);
  await tab.open("/wizards/blue-green?tab=setup");
  await tab.getByText("Two gateways behind an edge gateway").click();
  await tab.getByLabel("Addresses of the blue gateway").fill(`127.0.0.1:${ports.blue}`);
  await tab.getByLabel("Addresses of the green gateway").fill(`127.0.0.1:${ports.green}`);
  await choose(tab, "Edge gateway", "shop/edge");
  await tab.getByLabel("Hosts").fill("shop.test");
  await tab.locator("main").getByRole("textbox", { name: "Namespace" }).fill("shop");
  await tab.getByLabel("Name of the route").fill("shop");
  await tab.getByRole("button", { name: "Preview" }).click();
  await apply(tab, /shop-green/);
  await until("curl reaches blue through both", async () => (await bed.curl(ports.edge, "shop.test")).body.service === "blue");

  const requests = load(ports.edge, "shop.test", 300, "/", { bed });
  await tab.open("/wizards/blue-green");
  for (const colour of ["green", "blue", "green", "blue"]) {
    const other = colour === "blue" ? "green" : "blue";
    requests.during(`the flip to ${colour}`);
    await tab.getByRole("button", { name: `Flip to shop-${colour}` }).click();
    await apply(tab, /weight/);
    await until(`all goes to ${colour}`, async () => {
      const before = { ...requests.report.by };
      await until("200 more", async () => requests.report.by[colour] >= (before[colour] ?? 0) + 200);
      return (requests.report.by[other] ?? 0) === (before[other] ?? 0);
    });
  }
  const report = await requests.stop();
  console.log(`cascade: four flips at 300/s: ${report.sent} requests, ${report.failed.length} failed, ${JSON.stringify(report.by)}`);
  assert.equal(report.failed.length, 0, [...report.failed, ...report.slow].join("\n"));
  assert.deepEqual(tab.troubles, []);
});
