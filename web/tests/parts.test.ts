// The small parts: the stream's parser, addresses, sums over nodes, words, numbers.
// Leaves out the browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Format } from "../src/format.js";
import { choose, Words } from "../src/i18n.js";
import { matrix } from "../src/nodes.js";
import { parseRoute, podHref, podTyped } from "../src/route.js";
import { SseParser } from "../src/sse.js";
import type { Node } from "../src/types.js";
import { en } from "../src/words/en.js";
import { ko } from "../src/words/ko.js";

const STREAM = ': hello\n\nevent: decision\ndata: {"a":1}\n\nevent: missed\r\ndata: 12\r\n\r\ndata: one\ndata: two\n\n';

test("events are the same wherever the text is cut", () => {
  const whole = new SseParser().push(STREAM);
  assert.deepEqual(whole, [{ event: "decision", data: '{"a":1}' }, { event: "missed", data: "12" }, { event: "message", data: "one\ntwo" }]);
  for (let cut = 0; cut <= STREAM.length; cut++) {
    const parser = new SseParser();
    assert.deepEqual([...parser.push(STREAM.slice(0, cut)), ...parser.push(STREAM.slice(cut))], whole, `cut at ${cut}`);
  }
});

test("an event that is not complete is not given", () => {
  assert.deepEqual(new SseParser().push("event: decision\ndata: {}\n"), []);
});

test("addresses lead to views, and unknown ones to the cluster", () => {
  for (const [hash, route] of [
    ["", { view: "overview" }],
    ["#/queue", { view: "queue" }],
    ["#/pod/ns/name", { view: "pod", namespace: "ns", name: "name" }],
    ["#/pod/ns", { view: "overview" }],
    ["#/pod/%E0%A4%A/x", { view: "pod", namespace: "%E0%A4%A", name: "x" }],
    ["#/constructor", { view: "overview" }],
  ] as const) assert.deepEqual(parseRoute(hash), route, hash);
  assert.deepEqual(parseRoute(podHref("a b/c?d")), { view: "pod", namespace: "a b", name: "c?d" });
});

test("a pod is found by its name or with its namespace", () => {
  const typed = [" train-0 ", "ml/train-0", "", "/", "ml/", "a/b/c"].map(podTyped);
  assert.deepEqual(typed, ["default/train-0", "ml/train-0", null, null, null, null]);
});

const node = (name: string, over: Partial<Node>): Node => ({
  name, tiers: [], zone: null, rack: null, iops: null, throughputMbps: null, capacityGb: null,
  remaining: { iops: null, throughputMbps: null, capacityGb: null }, cachedDatasets: [], cores: 1, memoryGb: 1, nPods: 1, sources: {}, ...over,
});

test("nodes are summed by best tier and zone, those that say nothing last and apart", () => {
  const { tiers, zones, cell } = matrix([
    node("a", { tiers: ["nvme", "ssd"], zone: "z1", iops: 100, remaining: { iops: 40, throughputMbps: null, capacityGb: null } }),
    node("b", { tiers: ["nvme"], zone: "z1", iops: 50, remaining: { iops: 50, throughputMbps: null, capacityGb: null } }),
    node("c", { tiers: ["nvme"], zone: "z1" }),
    node("d", { tiers: ["memory"] }),
    node("e", { zone: "z0" }),
    node("f", { tiers: ["tape"], zone: "z0" }),
  ]);
  assert.deepEqual([tiers, zones], [["memory", "nvme", "tape", ""], ["z0", "z1", ""]]);
  const { nodes, nPods, sums } = cell("nvme", "z1");
  assert.deepEqual([nodes.length, nPods, sums.iops, sums.capacityGb], [3, 3, { offered: 150, left: 90, nNodes: 2 }, { offered: 0, left: 0, nNodes: 0 }]);
  assert.equal(cell("memory", "z1").nodes.length, 0);
});

test("the language is the one chosen, else the browser's, else English", () => {
  for (const [chosen, preferred, language] of [
    [null, ["ko-KR", "en"], "ko"],
    [null, ["fr", "KO"], "ko"],
    ["en", ["ko"], "en"],
    ["xx", ["fr"], "en"],
    [null, [], "en"],
  ] as const) assert.equal(choose(chosen, preferred), language);
});

test("both languages have the same places for values, and none is empty", () => {
  const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort().join();
  for (const [key, text] of Object.entries(en)) {
    const other = ko[key as keyof typeof en];
    assert.equal(places(other), places(text), key);
    assert.notEqual(other.trim(), "", key);
  }
});

test("values are filled in, numbers in the reader's way, and names without words stay", () => {
  const words = new Words("en");
  assert.equal(words.t("pod.would", { feasible: 1200, nodes: 5000 }), "1,200 of 5,000 nodes would do.");
  assert.equal(words.t("pod.isOn", { node: "{nodes}" }), "on {nodes}");
  assert.deepEqual([words.named("queue", "gated"), words.named("queue", "new-queue")], ["held back", "new-queue"]);
});

test("durations and times are short", () => {
  const format = new Format("en");
  assert.deepEqual([345, 2100, 3.4e6, 7.2e8].map((us) => format.duration(us)), ["345 µs", "2.1 ms", "3.4 s", "12 min"]);
  assert.deepEqual([-45, 0, 37].map(format.signed), ["−45", "0", "+37"]);
  assert.deepEqual([0, 59e3, 61e3, 7200e3, 2 * 86400e3].map((ms) => format.ago(0, ms)), ["now", "59 sec. ago", "1 min. ago", "2 hr. ago", "2 days ago"]);
});
