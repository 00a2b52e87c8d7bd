// The files that the scheduler serves are those that the sources give, and reach for nothing from elsewhere.
// Leaves out what they do.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

declare const DIST: string;
declare const BUILD: string;

test("dist is fresh", () => {
  const folder = mkdtempSync(join(tmpdir(), "page-"));
  try {
    execFileSync(process.execPath, [BUILD, folder]);
    assert.deepEqual(readdirSync(DIST).sort(), readdirSync(folder).sort(), "dist/ has other files: run npm run build");
    for (const name of readdirSync(folder)) {
      assert.ok(readFileSync(join(DIST, name)).equals(readFileSync(join(folder, name))), `dist/${name} is stale: run npm run build`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("nothing is loaded from elsewhere", () => {
  for (const name of readdirSync(DIST)) {
    const text = readFileSync(join(DIST, name), "utf8").replace("http://www.w3.org/2000/svg", "");
    assert.doesNotMatch(text, /https?:\/\/|@import|url\(/, name);
  }
});
