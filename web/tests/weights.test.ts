// The what-if question and the command are about what differs, and say it rightly.
// Leaves out what the scheduler answers.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import type { Config } from "../src/types.js";
import { changed, command, inForce, overruled, question } from "../src/weights.js";

function config(over: Partial<Config> = {}): Config {
  const plugin = (weight: number, enabled = true) => ({ enabled, weight, scoring: {} });
  return {
    generation: 1, object: "keti/default", status: "accepted", faults: [],
    spec: { plugins: { dataLocalityAware: plugin(3), storageTierAware: plugin(3), kueueAware: plugin(2, false) } },
    profiles: [
      { schedulerName: "ai", plugins: [{ name: "DataLocalityAware", weight: 3 }, { name: "StorageTierAware", weight: 3 }] },
      { schedulerName: "own", plugins: [{ name: "DataLocalityAware", weight: 7 }] },
    ],
    ...over,
  };
}

test("only weights that differ from those in force are changed", () => {
  assert.deepEqual(changed(config(), { ...inForce(config()), dataLocalityAware: 0, unknown: 4 }), { dataLocalityAware: 0 });
  assert.deepEqual(changed(config(), inForce(config())), {});
});

test("the question sets the fields of the configuration", () => {
  assert.deepEqual(question({ dataLocalityAware: 0 }), { set: { "spec.plugins.dataLocalityAware.weight": 0 }, running: 200, decisions: 200 });
});

test("the command is one that a shell hands to kubectl unharmed", () => {
  const text = command(config(), { dataLocalityAware: 0, storageTierAware: 10 });
  const words = execFileSync("sh", ["-c", `kubectl() { printf '%s\\n' "$@"; }; ${text}`], { encoding: "utf8" }).trim().split("\n");
  assert.deepEqual(words.slice(0, -1), ["patch", "aisc", "default", "-n", "keti", "--type", "merge", "-p"]);
  assert.deepEqual(JSON.parse(words.at(-1) ?? ""), { spec: { plugins: { dataLocalityAware: { weight: 0 }, storageTierAware: { weight: 10 } } } });
});

test("a configuration that is not there is made by the command", () => {
  const text = command(config({ status: "absent" }), { dataLocalityAware: 1 });
  const object = JSON.parse(execFileSync("sh", ["-c", `kubectl() { cat; }; ${text}`], { encoding: "utf8" }));
  assert.deepEqual(object.metadata, { name: "default", namespace: "keti" });
  assert.deepEqual(object.spec.plugins, { dataLocalityAware: { weight: 1 } });
});

test("a profile with a weight of its own is named, one that leaves the plugin out is not", () => {
  assert.deepEqual(overruled(config(), "dataLocalityAware"), [{ profile: "own", weight: 7 }]);
  assert.deepEqual(overruled(config(), "storageTierAware"), []);
  assert.deepEqual(overruled(config(), "kueueAware"), []);
});
