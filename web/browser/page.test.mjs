// The page in Chromium, against a running scheduler with a real control plane: what a person does with it, and that everybody can.
// Leaves out what is worked out without a browser (`tests/`). Screenshots are left in target/page/ for people to look at.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { pod, startCluster } from "./cluster.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SHOTS = fileURLToPath(new URL("../../target/page/", import.meta.url));
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const VIEWS = ["#/", "#/queue", "#/pod/default/waits", "#/pod/default/measured", "#/weights", "#/config"];
const WIDTHS = [1280, 390];

let cluster, browser, token;
/** What browsers asked for elsewhere, and what went wrong in the page. */
const strays = [];
const faults = [];

/** A window of its own, with a token or without one. */
async function open(hash, { signedIn = true, ...options } = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: "en-US", viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("request", (request) => request.url().startsWith(cluster.url) || request.url().startsWith("data:") || strays.push(request.url()));
  page.on("pageerror", (error) => faults.push(error.stack));
  page.on("console", (message) => /Content.Security|TrustedType/i.test(message.text()) && faults.push(message.text()));
  // Before the page's own script runs, as if it had been given in this tab before.
  if (signedIn) await page.addInitScript((token) => sessionStorage.setItem("token", token), token);
  await page.goto(`${cluster.url}/${hash}`);
  return page;
}

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  cluster = startCluster();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
  const reader = (name) => pod(name, "1", { "ai-storage.keti/dataset": "coco", "ai-storage.keti/preferred-rack": "rack-2", "ai-storage.keti/io-pattern": "read-heavy" });
  cluster.apply(reader("gone"));
  cluster.shell("kubectl wait --for=condition=PodScheduled pod/gone && kubectl delete pod gone --wait");
  cluster.apply(pod("waits", "900"), reader("measured"));
});

after(async () => {
  await browser?.close();
  cluster?.stop();
});

test("the page asks for a token, and the commands that it shows make one", async () => {
  const page = await open("", { signedIn: false });
  const commands = await page.locator("pre").innerText();
  await page.getByLabel("Token", { exact: true }).fill("nonsense");
  await page.getByRole("button", { name: "Use this token" }).click();
  await page.getByText("the bearer token is not valid").waitFor();
  token = cluster.shell(commands).trim().split("\n").at(-1);
  await page.getByLabel("Token", { exact: true }).fill(token);
  await page.getByRole("button", { name: "Use this token" }).click();
  await page.getByRole("heading", { name: "Tiers and zones" }).waitFor();
  assert.deepEqual(await page.evaluate(() => [Object.values(localStorage), document.cookie]), [[], ""], "the token stays in the tab");
  await page.getByRole("button", { name: "Forget token" }).click();
  await page.getByRole("heading", { name: "A token is needed" }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test("the cluster is shown by tier and zone, and a cell's nodes on request", async () => {
  const page = await open("#/");
  const cell = page.getByRole("row", { name: /^nvme / }).getByRole("button", { name: /^1 node/ });
  assert.equal(await page.getByRole("row", { name: /^nvme / }).getByRole("meter", { name: "IOPS" }).getAttribute("aria-valuemax"), "100000");
  await cell.click();
  await page.getByRole("heading", { name: "Nodes: nvme, zone-a" }).waitFor();
  assert.equal(await page.getByRole("rowheader", { name: /^node-/ }).innerText(), "node-nvme-gpu");
});

test("a pod that comes is seen at once, and a pending one says why it waits", async () => {
  const page = await open("#/queue");
  await page.getByText("Live", { exact: true }).waitFor();
  cluster.apply(pod("waits-too", "800"));
  await page.getByRole("link", { name: "default/waits-too" }).first().click();
  await page.getByRole("heading", { name: "default/waits-too", level: 1 }).waitFor();
  await page.getByText("0 of 6 nodes would do.").waitFor();
  await page.getByRole("row", { name: /^NodeResourcesFit Insufficient cpu \(6\) 6 refused 0 left/ }).waitFor();
  await page.getByText("requested 800000m cpu").first().waitFor();
});

test("a dragged weight shows what would happen, and the command it gives changes the next decision", async () => {
  const page = await open("#/pod/default/measured");
  await page.getByText("on node-ssd").waitFor();
  await page.getByRole("link", { name: "Weights", exact: true }).first().click();
  const slider = page.getByRole("slider", { name: "DataLocalityAware" });
  const box = await slider.boundingBox();
  await page.mouse.move(box.x + 0.3 * box.width, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + 1, box.y + box.height / 2, { steps: 5 });
  await page.mouse.up();
  assert.equal(await slider.inputValue(), "0");
  const move = page.getByRole("row", { name: /^default\/measured runs node-ssd / });
  const predicted = await move.getByRole("cell").nth(2).innerText();
  assert.notEqual(predicted, "node-ssd");
  await page.getByRole("row", { name: /^default\/gone gone node-ssd / }).waitFor();

  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy" }).click();
  await page.getByText("Copied", { exact: true }).waitFor();
  cluster.shell(await page.evaluate(() => navigator.clipboard.readText()));
  await page.getByText("The configuration in force changed just now.").waitFor();
  await page.getByText("in force: 0").waitFor();

  // The next decision on such a pod, with the room free that the first one had.
  const again = cluster.shell("kubectl get pod measured -o json");
  cluster.shell("kubectl delete pod measured --wait");
  const { metadata, spec } = JSON.parse(again);
  cluster.apply(pod("measured", spec.containers[0].resources.requests.cpu, metadata.annotations));
  await page.getByRole("searchbox", { name: "Find a pod" }).fill("measured");
  await page.keyboard.press("Enter");
  await page.getByText(`on ${predicted}`).waitFor();
});

test("everything can be done by keyboard", async () => {
  const page = await open("#/weights");
  await page.getByRole("slider", { name: "KueueAware" }).waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
  await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowRight");
  await page.getByRole("button", { name: "Back to what is in force" }).and(page.locator(":enabled")).waitFor();
  await page.getByText(/"dataLocalityAware":\{"weight":1\}/).waitFor();
});

test("the language is the browser's until another is chosen", async () => {
  const page = await open("#/config", { locale: "ko-KR" });
  await page.getByRole("heading", { name: "설정", level: 1 }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), "ko");
  await page.getByLabel("언어").selectOption("en");
  await page.getByRole("heading", { name: "Configuration", level: 1 }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "Configuration", level: 1 }).waitFor();
});

for (const colorScheme of ["light", "dark"]) {
  test(`nothing stands in the way of assistive technology, ${colorScheme}, and nothing sticks out at any width`, async () => {
    for (const hash of ["token", ...VIEWS]) {
      const signedIn = hash !== "token";
      const page = await open(signedIn ? hash : "", { signedIn, colorScheme, bypassCSP: true }); // axe is a script from elsewhere
      await page.getByText("Loading …").waitFor({ state: "detached" });
      if (hash === "#/weights") {
        await page.getByRole("slider", { name: "StorageTierAware" }).press("Home");
        await page.getByText("Working it out …").waitFor({ state: "detached" });
      }
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 900 });
        await page.screenshot({ path: `${SHOTS}${hash.replace(/\W+/g, "-").replace(/^-/, "") || "cluster"}-${colorScheme}-${width}.png`, fullPage: true });
        const { violations } = await page.evaluate(`${AXE}; axe.run()`);
        const said = violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join("\n")}`);
        assert.deepEqual(said, [], `${hash} at ${width}`);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${hash} is wider than ${width}`);
      }
      await page.context().close();
    }
  });
}

test("nothing was asked for elsewhere, and nothing went wrong in the page", () => {
  assert.deepEqual([strays, faults], [[], []]);
});
