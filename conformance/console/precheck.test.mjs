// With an Envoy to ask, what it would refuse is not written: the answer names the document and the rule, in Envoy's words.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { freePort, start } from "./bed.mjs";
import { all, CLASS, gateway, route, service } from "./documents.mjs";

const YAML = { "content-type": "application/yaml" };
const bad = route("r7", "r7.test", ["shop"], { type: "RegularExpression", path: `/${"[a-z]{1000}".repeat(34)}` });
let bed;

const push = (body, query = "") => bed.api(`/api/v1/apply${query}`, { method: "POST", body, headers: YAML });
const envoy = ({ body }) => body.gates.find((gate) => gate.name === "envoy").state;

before(async () => {
  bed = await start({ files: { "class.yaml": CLASS }, gateways: [], flags: ["--precheck-envoy", process.env.ISTHMUS_ENVOY] });
  const routes = Array.from({ length: 50 }, (_, n) => route(`r${n}`, `r${n}.test`, ["shop"], { path: "/v1" }));
  const made = await push(all(gateway("edge", await freePort()), service("shop", 9), ...routes));
  assert.equal(made.status, 200, JSON.stringify(made.body).slice(0, 1000));
  assert.equal(envoy(made), "passed");
});

after(() => bed?.close());

test("a dry run says what Envoy says, and a write is refused with the rule", async () => {
  const tried = await push(bad, "?dryRun=true");
  assert.equal(tried.status, 200);
  assert.equal(envoy(tried), "failed");
  const { status, body } = await push(bad);
  assert.equal(status, 422);
  assert.equal(body.code, "ISM9021");
  const [error] = body.errors;
  assert.deepEqual([error.object.name, error.pointer], ["r7", "/spec/rules/0"]);
  assert.match(error.text, /max program size/);
  const { body: kept } = await bed.api("/api/v1/namespaces/shop/httproutes/r7");
  assert.equal(kept.spec.rules[0].matches[0].path.value, "/v1", "nothing was written");
});

test("who knows better can push it all the same", async () => {
  assert.equal((await push(bad, "?force=true")).status, 200);
});
