// A browser for the stories, from console's own development dependencies.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const fromConsole = createRequire(new URL("../../console/package.json", import.meta.url));
const { chromium } = fromConsole("playwright-core");
const AXE = readFileSync(fromConsole.resolve("axe-core/axe.min.js"), "utf8");

export const SHOTS = fileURLToPath(new URL("../../console/tests/__shots__/", import.meta.url));

export async function browser() {
  const executablePath = process.env.ISTHMUS_CHROMIUM;
  if (!executablePath) throw new Error("ISTHMUS_CHROMIUM is not set: start this with conformance/console/run.sh");
  // As root, Chromium has no sandbox of its own; nothing but our own pages is opened.
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** While one works on the console: its files from a folder instead of from the program, with the program's headers. */
async function other(context, bed, dist) {
  const types = { js: "text/javascript", css: "text/css", svg: "image/svg+xml", woff2: "font/woff2" };
  const ours = (url) => url.origin === bed.url && !/^\/(api|login|errors|metrics)(\/|$)/.test(url.pathname);
  const headers = Object.fromEntries((await fetch(`${bed.url}/`)).headers);
  for (const name of ["content-encoding", "content-length", "etag", "transfer-encoding"]) delete headers[name];
  await context.route(ours, (route) => {
    const { pathname } = new URL(route.request().url());
    const file = pathname !== "/" && existsSync(dist + pathname) ? dist + pathname : `${dist}/index.html`;
    const nonce = /'nonce-([^']+)'/.exec(headers["content-security-policy"])?.[1] ?? "";
    const body = file.endsWith(".html") ? readFileSync(file, "utf8").replaceAll("__CSP_NONCE__", nonce) : readFileSync(file);
    return route.fulfill({ body, headers: { ...headers, "content-type": types[file.split(".").at(-1)] ?? "text/html" } });
  });
}

/** A page with a language and a theme. What it logs as an error, and requests that leave this machine, are kept. */
export async function page(browser, bed, { locale = "en", theme = "light", width = 1440, height = 900 } = {}) {
  const context = await browser.newContext({
    locale: locale === "zh" ? "zh-CN" : "en-US",
    colorScheme: theme,
    viewport: { width, height },
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  const dist = process.env.ISTHMUS_CONSOLE_DIST;
  if (dist) await other(context, bed, dist);
  page.troubles = [];
  page.on("console", (message) => {
    if (message.type() === "error") page.troubles.push(message.text());
  });
  page.on("pageerror", (error) => page.troubles.push(String(error)));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith("http") && url.hostname !== "127.0.0.1") page.troubles.push(`asks ${url.hostname}`);
  });
  page.open = (path) => page.goto(bed.url + path, { waitUntil: "domcontentloaded" });
  return page;
}

/** What axe finds against WCAG 2.2 AA, in words. */
export async function axe(page) {
  // The page's own policy forbids scripts from elsewhere; the debugger's evaluation is not under it.
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
    const { violations } = await globalThis.axe.run(document, { runOnly: { type: "tag", values: tags } });
    return violations.map(({ id, nodes }) => ({ id, nodes: nodes.slice(0, 3).map((node) => node.html.slice(0, 200)) }));
  });
  return found.map(({ id, nodes }) => `${id}: ${nodes.join(" | ")}`);
}
