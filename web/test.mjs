// Checks the page without a browser: its logic (node's test runner, TAP), and that dist/ is what the sources give.
// Leaves out types (`npm run types`) and the page in a browser (`npm run browser`).

import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "page-tests-"));
try {
  const names = readdirSync(`${here}tests`).filter((name) => name.endsWith(".test.ts"));
  await build({
    entryPoints: names.map((name) => `${here}tests/${name}`),
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    define: { DIST: JSON.stringify(`${here}dist`), BUILD: JSON.stringify(`${here}build.mjs`) },
    logLevel: "warning",
  });
  const files = names.map((name) => join(folder, name.replace(/\.ts$/, ".mjs")));
  const { status } = spawnSync(process.execPath, ["--test", "--test-reporter=tap", ...files], { stdio: "inherit" });
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
