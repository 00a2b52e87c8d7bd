// What is worked out from a decision agrees with what the decision says.
// Leaves out how it looks.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bars, colourOf, compare, funnel, refusals } from "../src/explain.js";
import type { Decision, NodeReport, PluginScore, Reason } from "../src/types.js";

const plugin = (name: string, weight: number, score: number, over: Partial<PluginScore> = {}): PluginScore => ({
  name, weight, score, skipped: false, components: {}, sources: {}, ...over,
});
const fits = (node: string, total: number, plugins: PluginScore[]): NodeReport => ({ node, feasible: true, reasons: [], total, plugins });
const refuses = (node: string, ...reasons: Reason[]): NodeReport => ({ node, feasible: false, reasons, total: null, plugins: [] });

function decision(over: Partial<Decision>): Decision {
  return {
    pod: "default/p", schedulerName: "s", node: null, message: null, policy: { source: "FALLBACK", requestId: null }, profile: {},
    configGeneration: 1, nNodes: 0, nFeasible: 0, nodes: [], runnerUp: null, verdicts: [], at: 0, attempt: 1, waitedMs: 0,
    took: { decideUs: null, attemptUs: null }, ...over,
  };
}

const cpu = { plugin: "NodeResourcesFit", message: "Insufficient cpu" };
const memory = { plugin: "NodeResourcesFit", message: "Insufficient memory" };
const taint = { plugin: "TaintToleration", message: "untolerated taint" };

test("a node that lacks two resources is refused once by one filter", () => {
  const sieves = funnel(
    decision({
      nNodes: 3, nFeasible: 1,
      nodes: [fits("a", 1, []), refuses("b", cpu, memory), refuses("c", taint)],
      verdicts: [{ ...taint, nodes: 1 }, { ...cpu, nodes: 1 }, { ...memory, nodes: 1 }],
    }),
  );
  assert.deepEqual(sieves.map(({ plugin, refused, left }) => [plugin, refused, left]), [["TaintToleration", 1, 2], ["NodeResourcesFit", 1, 1]]);
});

test("a filter whose count is not sure leaves out how many nodes are left", () => {
  const sieves = funnel(decision({ nNodes: 100, nFeasible: 20, nodes: [fits("a", 1, [])], verdicts: [{ ...cpu, nodes: 50 }, { ...memory, nodes: 50 }] }));
  assert.deepEqual(sieves.map(({ refused, left }) => [refused, left]), [[50, null]]);
});

test("a bar is made of what each plugin counted, and sums to the total", () => {
  const node = fits("a", 340, [plugin("TaintToleration", 3, 100), plugin("StorageTierAware", 2, 20), plugin("ImageLocality", 1, 0)]);
  const [bar] = bars(decision({ nodes: [node, refuses("b", cpu)], nFeasible: 1, nNodes: 2 }));
  assert.deepEqual(bar?.segments.map((s) => [s.plugin, s.colour, s.points]), [["StorageTierAware", 2, 40], ["TaintToleration", 0, 300]]);
  assert.equal(bar?.segments.reduce((sum, s) => sum + s.points, 0), bar?.total);
});

test("plugins of AI storage have colours of their own, all others share one", () => {
  assert.deepEqual(["DataLocalityAware", "CSIStorageAware", "NodeResourcesFit", "SomebodysOwn"].map(colourOf), [1, 6, 0, 0]);
});

test("two nodes are compared by plugin and component, in points that count", () => {
  const parts = (cache: number) => ({ components: { cache }, sources: { cache: `read ${cache}` } });
  const rows = compare(
    fits("a", 60, [plugin("DataLocalityAware", 3, 20, parts(20)), plugin("KueueAware", 2, 0, { skipped: true })]),
    fits("b", 30, [plugin("DataLocalityAware", 3, 10, parts(10)), plugin("KueueAware", 2, 0, { skipped: true })]),
  );
  assert.deepEqual(rows.map((r) => [r.component, r.mine, r.theirs, r.mineSource, r.theirSource]), [[null, 60, 30, "", ""], ["cache", 60, 30, "read 20", "read 10"]]);
});

test("a node alone is compared with nothing", () => {
  assert.deepEqual(compare(fits("a", 3, [plugin("ImageLocality", 1, 3)]), undefined).map((r) => [r.mine, r.theirs]), [[3, null]]);
});

test("refused nodes are grouped by reason, the most frequent first", () => {
  const groups = refusals(decision({ nodes: [refuses("a", taint), refuses("b", { ...cpu, detail: "free 1" }), refuses("c", cpu, taint), refuses("d", cpu)] }));
  assert.deepEqual(groups.map(({ reason, nodes }) => [reason, nodes.map((n) => n.node).join()]), [
    ["NodeResourcesFit: Insufficient cpu", "b,c,d"],
    ["TaintToleration: untolerated taint", "a,c"],
  ]);
  assert.equal(groups[0]?.nodes[0]?.detail, "free 1");
});
