// What the stories stand on: a folder, the real `isthmus serve` with the console in it, real Envoys, back ends, `curl`, and a
// browser.
//
//   browser ──► isthmus (HTTP) ──ADS──► Envoy ◄── curl, load      Everything is on loopback, on ports that were free a moment
//      │            ▲                     │                       ago. Waiting is for something to be seen, with a limit.
//      └─ clicks    └─ folder of YAML     └──► Echo (own thread)   Whatever was started is ended by its own pid.
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import { createServer as listenOn } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { echo } from "./echo.mjs";

const run = promisify(execFile);
export const LIMIT = 30_000;
/** A request that takes longer has failed, */
const TOO_LONG = 20_000;
/** and where one is that takes longer than this is noted. */
const LONG = 5_000;

const need = (name) => process.env[name] ?? fail(`${name} is not set: start this with conformance/console/run.sh`);
const fail = (text) => {
  throw new Error(text);
};

/** Asks again until `ask` returns something true; what it threw or returned last is in the error. */
export async function until(what, ask, limit = LIMIT) {
  const end = Date.now() + limit;
  let last;
  for (;;) {
    try {
      last = await ask();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) fail(`not seen within ${limit} ms: ${what}; last: ${last?.message ?? JSON.stringify(last)}`);
    await new Promise((next) => setTimeout(next, 50));
  }
}

export async function freePort() {
  const server = listenOn();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** A Eureka with instances of applications, as far as its clients can tell: application → ports. */
export async function eurekaServer(ports) {
  const instance = (app, port) => ({
    instanceId: `host:${app}:${port}`, hostName: "127.0.0.1", app: app.toUpperCase(), ipAddr: "127.0.0.1", status: "UP",
    overriddenStatus: "UNKNOWN", port: { $: port, "@enabled": "true" }, securePort: { $: 443, "@enabled": "false" }, countryId: 1,
    vipAddress: app, dataCenterInfo: { "@class": "x", name: "MyOwn" }, metadata: { version: "v1" }, lastUpdatedTimestamp: "1", actionType: "ADDED",
  });
  const application = Object.entries(ports).map(([app, all]) => ({ name: app.toUpperCase(), instance: all.map((port) => instance(app, port)) }));
  const count = Object.values(ports).flat().length;
  const text = JSON.stringify({ applications: { versions__delta: "1", apps__hashcode: `UP_${count}_`, application } });
  const server = createServer((asked, answer) => {
    if (asked.url !== "/eureka/apps") return answer.writeHead(asked.url === "/eureka/apps/delta" ? 403 : 404).end();
    answer.writeHead(200, { "content-type": "application/json" }).end(text);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return server;
}

function program(home, name, command, args, environment = {}) {
  const log = join(home, `${name}.log`);
  const out = openSync(log, "a");
  const child = spawn(command, args, { stdio: ["ignore", out, out], env: { ...process.env, ...environment } });
  const ended = new Promise((done) => child.once("exit", done));
  return {
    pid: child.pid,
    log: () => readFileSync(log, "utf8"),
    ended: () => child.exitCode !== null || child.signalCode !== null,
    end: async (signal = "SIGTERM") => {
      child.kill(signal);
      await ended;
    },
  };
}

/**
 * Starts all of it. `files` are written into the folder first; `gateways` are `NAMESPACE/NAME` or `{gateway, node}`, one Envoy
 * each.
 */
export async function start({ files = {}, gateways = ["demo/edge"], flags = [], wait = true } = {}) {
  const home = mkdtempSync(join(tmpdir(), "isthmus-console-"));
  const folder = mkdtempSync(join(home, "folder-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const isthmus = need("ISTHMUS_BIN");
  const [xds, http] = [await freePort(), await freePort()];
  const serveFlags = [
    "serve", "-f", folder, "--state-dir", join(home, "state"), "--xds-listen", `127.0.0.1:${xds}`,
    "--http-listen", `127.0.0.1:${http}`, "--drain-window", "1s", ...flags,
  ];
  const bed = { home, folder, http, xds, url: `http://127.0.0.1:${http}`, envoys: [], echoes: [] };
  const serve = () => program(home, "isthmus", isthmus, serveFlags);
  bed.isthmus = serve();
  bed.restart = async () => {
    await bed.isthmus.end();
    bed.isthmus = serve();
    await bed.ready();
  };
  bed.api = async (path, options = {}) => {
    const { method = "GET", body, headers = {}, token } = options;
    const all = { accept: "application/json", ...headers, ...(token ? { authorization: `Bearer ${token}` } : {}) };
    const answer = await fetch(bed.url + path, { method, body, headers: all });
    const text = await answer.text();
    let json = text;
    try {
      json = JSON.parse(text);
    } catch {
      // Not everything is JSON.
    }
    return { status: answer.status, headers: answer.headers, body: json };
  };
  bed.ready = () =>
    until("isthmus is ready", async () => {
      if (bed.isthmus.ended()) fail(`isthmus ended:\n${bed.isthmus.log()}`);
      return (await fetch(`${bed.url}/readyz`)).ok;
    });
  bed.cli = async (...args) => {
    try {
      const { stdout, stderr } = await run(isthmus, args, { env: { ...process.env, ISTHMUS_SERVER: bed.url } });
      return { code: 0, stdout, stderr };
    } catch (error) {
      return { code: error.code, stdout: error.stdout ?? "", stderr: error.stderr ?? String(error) };
    }
  };
  bed.envoy = async (gateway, node = `${gateway.replace("/", "-")}-${bed.envoys.length}`) => {
    const stats = String(await freePort());
    return proxy(node, ["--role", "gateway", "--gateway", gateway, "--stats-address", "127.0.0.1", "--stats-port", stats], gateway);
  };
  /** In a network of its own only; `words` say beside whom. */
  bed.sidecar = (node, words) => proxy(node, ["--role", "sidecar", ...words]);
  const proxy = async (node, words, gateway) => {
    const admin = await freePort();
    const own = ["--node-id", node, "--xds", `127.0.0.1:${xds}`, "--admin-port", String(admin)];
    const { stdout } = await run(isthmus, ["bootstrap", ...words, ...own]);
    const file = join(home, `${node}.yaml`);
    writeFileSync(file, stdout);
    const process = program(home, node, need("ISTHMUS_ENVOY"), [
      "-c", file, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "--drain-time-s", "5",
    ]);
    const envoy = { node, gateway, admin, process };
    bed.envoys.push(envoy);
    return envoy;
  };
  bed.proxiesInStep = (count = bed.envoys.length) =>
    until(`${count} proxies are in step`, async () => {
      const { body } = await bed.api("/api/v1/proxies");
      const live = body.items?.filter((proxy) => proxy.inStep && proxy.wanted !== "-");
      return live?.length === count && live;
    });
  bed.echo = async (name) => {
    const one = await echo(name);
    bed.echoes.push(one);
    return one;
  };
  /** By `curl`, as a user would. */
  bed.curl = async (port, host, path = "/", ...more) => {
    const { stdout } = await run("curl", [
      "--silent", "--show-error", "--max-time", "10", "--write-out", "\n%{http_code}", "--header", `host: ${host}`, ...more,
      `http://127.0.0.1:${port}${path}`,
    ]);
    const cut = stdout.lastIndexOf("\n");
    const [text, status] = [stdout.slice(0, cut), Number(stdout.slice(cut + 1))];
    let body = text;
    try {
      body = JSON.parse(text);
    } catch {
      // Answers of Envoy itself are text.
    }
    return { status, body };
  };
  /** Where a request from this port of ours may be: what the kernel and each Envoy say. */
  bed.where = async (port) => {
    const sockets = run("ss", ["-Htn", `( sport = :${port} or dport = :${port} )`]).then(({ stdout }) => stdout.trim());
    const counts = async ({ node, admin }) => {
      const about = "^(http|cluster)\\..*(stream_(rq|cx)_active|drain_close)$|^listener_manager\\.listener_(added|modified|removed)$";
      const answer = await fetch(`http://127.0.0.1:${admin}/stats?usedonly&filter=${encodeURIComponent(about)}`);
      return `${node}: ${(await answer.text()).trim().replaceAll("\n", ", ")}`;
    };
    const said = await Promise.allSettled([sockets, ...bed.envoys.map(counts)]);
    return said.map(({ value, reason }) => value ?? String(reason)).join("\n");
  };
  bed.close = async () => {
    for (const envoy of bed.envoys) await envoy.process.end("SIGKILL");
    await bed.isthmus.end();
    for (const one of bed.echoes) await one.close();
    if (!process.env.ISTHMUS_KEEP) rmSync(home, { recursive: true, force: true });
  };
  if (!wait) return bed;
  try {
    await bed.ready();
    for (const entry of gateways) {
      if (typeof entry === "string") await bed.envoy(entry);
      else await bed.envoy(entry.gateway, entry.node);
    }
    if (gateways.length > 0) await bed.proxiesInStep();
    return bed;
  } catch (error) {
    const logs = [bed.isthmus, ...bed.envoys.map((envoy) => envoy.process)].map((one) => one.log().slice(-4000));
    await bed.close();
    throw new Error(`${error.message}\n${logs.join("\n----\n")}`);
  }
}

/**
 * Requests at a fixed rate, whatever happens to the ones before; none is tried again. `fresh`: each on a connection of its own.
 * With a `bed`, it is noted where the first few were that took long.
 */
export function load(port, host, rate, path = "/", { fresh = false, bed } = {}) {
  const agent = new Agent({ keepAlive: !fresh, maxSockets: 64 });
  const report = { sent: 0, failed: [], by: {}, slow: [] };
  let phase = "the start";
  const open = new Set();
  const one = () =>
    new Promise((done) => {
      report.sent += 1;
      const [number, from, during] = [report.sent, performance.now(), phase];
      const seconds = (since, to = performance.now()) => `${((to - since) / 1000).toFixed(1)} s`;
      let own;
      let watch;
      const say = (what) => {
        const connection = `${asked.reusedSocket ? "used" : "new"} connection from port ${own}`;
        return `request ${number}, ${seconds(begun, from)} after the start, during ${during}, ${seconds(from)} old, ${connection}: ${what}`;
      };
      const over = () => {
        clearTimeout(watch);
        done();
      };
      const bad = (why) => {
        report.failed.push(say(why));
        over();
      };
      const look = async () => {
        if (report.slow.length >= 3) return;
        const place = report.slow.push("") - 1;
        report.slow[place] = `${say("no answer yet")}\n${await bed.where(own)}`;
      };
      const asked = request({ host: "127.0.0.1", port, path, agent, headers: { host }, timeout: TOO_LONG }, (answer) => {
        let text = "";
        answer.setEncoding("utf8");
        answer.on("data", (part) => (text += part));
        answer.on("error", (error) => bad(error.message));
        answer.on("end", () => {
          if (answer.statusCode !== 200) return bad(`${answer.statusCode} ${text.slice(0, 200)}`);
          const { service } = JSON.parse(text);
          report.by[service] = (report.by[service] ?? 0) + 1;
          over();
        });
      });
      asked.on("finish", () => {
        own = asked.socket.localPort;
        if (bed) watch = setTimeout(look, LONG).unref();
      });
      asked.on("timeout", () => asked.destroy(new Error("no answer in time")));
      asked.on("error", (error) => bad(error.message));
      asked.end();
    });
  const begun = performance.now();
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - begun) * rate) / 1000);
    while (report.sent < due) {
      const promise = one().finally(() => open.delete(promise));
      open.add(promise);
    }
  }, 5);
  // A story that has failed must not be kept alive by it.
  timer.unref();
  return {
    report,
    during: (what) => {
      phase = what;
    },
    stop: async () => {
      clearInterval(timer);
      await Promise.all(open);
      agent.destroy();
      return report;
    },
  };
}
