// Why, on the way into a workload: the console asks what the sidecar beside it does, and says what the CLI says.
//
// A sidecar listens on the ports of its own on all addresses, so that all of this is in a network of its own.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { axe, browser, page, SHOTS } from "./browser.mjs";
import { start, until } from "./bed.mjs";

const WEB = "spiffe://cluster.local/ns/shop/sa/web";
const URL_IN = "http://127.0.0.1:8080/v1/pay";
const FILES = {
  "orders.yaml": `apiVersion: v1
kind: Pod
metadata: {name: orders-1, namespace: shop, labels: {app: orders}}
spec: {serviceAccountName: orders}
status: {podIPs: [{ip: 127.0.0.1}]}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec:
  clusterIP: 10.96.0.2
  selector: {app: orders}
  ports: [{name: http, port: 80, targetPort: 8080, appProtocol: http}]
---
apiVersion: isthmus.dev/v1alpha1
kind: AccessPolicy
metadata: {name: only-web, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: orders}]
  action: Allow
  rules:
  - from: [{principals: [${WEB.replace("spiffe://", "")}]}]
`,
};
let bed;
let chrome;

if (!process.env.ISTHMUS_OWN_NETWORK) {
  test("in a network of its own", () => {
    const inside = 'ip link set lo up && exec "$0" --test --test-reporter=spec "$1"';
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
    const env = { ...environment, ISTHMUS_OWN_NETWORK: "1" };
    const done = spawnSync("unshare", ["--net", "sh", "-c", inside, process.execPath, fileURLToPath(import.meta.url)], { env, encoding: "utf8" });
    assert.equal(done.status, 0, `${done.error ?? ""}${done.stdout}${done.stderr}`);
    console.log(done.stdout);
  });
} else {
  before(async () => {
    mkdirSync(SHOTS, { recursive: true });
    bed = await start({ files: FILES, gateways: [] });
    await bed.sidecar("orders-1", ["--namespace", "shop", "--pod", "orders-1", "--account", "orders", "--ip", "127.0.0.1", "--label", "app=orders"]);
    await until("the sidecar is in step", async () => {
      const { body } = await bed.api("/api/v1/proxies");
      return body.items?.some((proxy) => proxy.id === "orders-1" && proxy.inStep);
    });
    chrome = await browser();
  });

  after(async () => {
    await chrome?.close();
    await bed?.close();
  });

  test("who may call the workload is answered by its sidecar's policies", async () => {
    const tab = await page(chrome, bed, { width: 1280, height: 800 });
    await tab.open("/why");
    await tab.getByText("Into a workload").click();
    await tab.getByRole("textbox", { name: "URL" }).fill(URL_IN);
    assert.equal(await tab.getByRole("button", { name: "Ask" }).getAttribute("aria-disabled"), "true", "nobody has said of whom");
    await tab.getByRole("textbox", { name: "To" }).fill("shop/orders");
    await tab.getByRole("button", { name: "Ask" }).click();
    await tab.getByText("is refused", { exact: true }).waitFor();
    await tab.getByRole("button", { name: "Keep for comparison" }).click();
    await tab.getByRole("textbox", { name: "Identity of the client (SPIFFE)" }).fill(WEB);
    await tab.getByRole("button", { name: "Ask" }).click();
    await tab.getByText("is forwarded", { exact: true }).waitFor();
    await tab.getByRole("link", { name: /Service shop\/orders/ }).first().waitFor();
    await tab.getByText("policies let it through", { exact: true }).waitFor();
    assert.deepEqual(await axe(tab), []);
    await tab.screenshot({ path: `${SHOTS}why-in-light-en.png` });
    // The address says it all, and so does the command.
    const { searchParams } = new URL(tab.url());
    assert.deepEqual([searchParams.get("to"), searchParams.get("from"), searchParams.get("identity")], ["shop/orders", null, WEB]);
    const command = await tab.getByRole("button", { name: /Copy as CLI/ }).getAttribute("aria-label");
    const words = command.replace(/^.*?isthmus /, "").replaceAll("'", "").split(" ");
    const cli = await bed.cli(...words, "-o", "json");
    assert.equal(cli.code, 0, cli.stderr);
    const said = JSON.parse(cli.stdout);
    await tab.getByText(said.summary, { exact: true }).waitFor();
    for (const step of said.steps) await tab.getByText(step.text, { exact: true }).first().waitFor();
    assert.deepEqual(tab.troubles, []);
  });

  test("a link to the question asks it again, in Chinese", async () => {
    const tab = await page(chrome, bed, { locale: "zh", theme: "dark", width: 1280, height: 800 });
    await tab.open(`/why?${new URLSearchParams({ to: "orders-1", url: URL_IN })}`);
    await tab.getByText("被拒绝", { exact: true }).waitFor();
    assert.equal(await tab.getByRole("textbox", { name: "目标" }).inputValue(), "orders-1");
    assert.equal(await tab.getByRole("radio", { name: "进入工作负载" }).isChecked(), true);
    assert.deepEqual(await axe(tab), []);
    await tab.screenshot({ path: `${SHOTS}why-in-dark-zh.png` });
    await tab.open(`/why?${new URLSearchParams({ to: "shop/nobody", url: URL_IN })}`);
    await tab.getByText(/no sidecar of a service shop\/nobody is connected/).waitFor();
  });
}
