// What a decision says, made ready for the eye: the filter funnel, score bars, two nodes side by side.
// Leaves out how it looks; adds nothing that the decision does not say.

import type { Decision, NodeReport, PluginScore } from "./types.js";

/** The AI storage plugins, in the order of the configuration, and the name of each there. */
export const STORAGE_PLUGINS: readonly (readonly [name: string, key: string])[] = [
  ["DataLocalityAware", "dataLocalityAware"],
  ["StorageTierAware", "storageTierAware"],
  ["IOPatternBased", "ioPatternBased"],
  ["KueueAware", "kueueAware"],
  ["PipelineStageAware", "pipelineStageAware"],
  ["CSIStorageAware", "csiStorageAware"],
];

/** The slot of a plugin's colour: 1 to 6 for AI storage plugins, 0 for all of kube-scheduler's. */
export const colourOf = (plugin: string): number => STORAGE_PLUGINS.findIndex(([name]) => name === plugin) + 1;

/** One plugin's refusals. `left` is how many nodes are left after it, where every node is refused by one plugin alone. */
export interface Sieve {
  plugin: string;
  reasons: { message: string; nodes: number }[];
  refused: number;
  left: number | null;
}

/** The filters that refused nodes, as the nodes ran through them. */
export function funnel(decision: Decision): Sieve[] {
  const sieves = new Map<string, Sieve>();
  for (const { plugin, message, nodes } of decision.verdicts) {
    const sieve = sieves.get(plugin) ?? { plugin, reasons: [], refused: 0, left: null };
    sieve.reasons.push({ message, nodes });
    sieves.set(plugin, sieve);
  }
  const whole = decision.nodes.length === decision.nNodes;
  for (const sieve of sieves.values()) {
    // A node may give two reasons of one plugin; where not every node is reported, the longest of them is what is sure.
    const bySome = decision.nodes.filter((node) => node.reasons.some((reason) => reason.plugin === sieve.plugin)).length;
    sieve.refused = whole ? bySome : Math.max(...sieve.reasons.map((reason) => reason.nodes));
  }
  const all = [...sieves.values()];
  const sum = all.reduce((n, sieve) => n + sieve.refused, 0);
  if (sum === decision.nNodes - decision.nFeasible) {
    let left = decision.nNodes;
    for (const sieve of all) sieve.left = left -= sieve.refused;
  }
  return all;
}

/** A plugin's part in a node's bar. */
export interface Segment {
  plugin: string;
  colour: number;
  points: number;
}

export interface Bar {
  node: string;
  total: number;
  segments: Segment[];
}

/** What a plugin's score counted. */
export const pointsOf = (plugin: PluginScore): number => plugin.weight * plugin.score;

/** The nodes that would do, best first. */
export function bars(decision: Decision): Bar[] {
  return decision.nodes
    .filter((node) => node.feasible && node.total !== null)
    .map((node) => ({ node: node.node, total: node.total ?? 0, segments: segments(node) }));
}

function segments(node: NodeReport): Segment[] {
  const all = node.plugins.map((plugin) => ({ plugin: plugin.name, colour: colourOf(plugin.name), points: pointsOf(plugin) }));
  // What AI storage adds comes first: it has the same edge to start from on every node.
  return all.filter((s) => s.points > 0).sort((a, b) => (a.colour || 99) - (b.colour || 99));
}

/** A plugin, or a component of it, on two nodes; what it counted on each, and what it was read from. */
export interface Row {
  plugin: string;
  component: string | null;
  weight: number;
  mine: number;
  theirs: number | null;
  mineSource: string;
  theirSource: string;
}

/** Plugin by plugin, with their components, what a node got beside another. Plugins that had nothing to say are left out. */
export function compare(mine: NodeReport, theirs: NodeReport | undefined): Row[] {
  return mine.plugins.flatMap((plugin) => {
    const other = theirs?.plugins.find((p) => p.name === plugin.name);
    if (plugin.skipped && (other?.skipped ?? true)) return [];
    const { name, weight } = plugin;
    const whole = { plugin: name, component: null, weight, mine: pointsOf(plugin), theirs: other ? pointsOf(other) : null };
    const parts = Object.entries(plugin.components).map(([component, score]) => ({
      plugin: name,
      component,
      weight,
      mine: weight * score,
      theirs: other ? other.weight * (other.components[component] ?? 0) : null,
      mineSource: plugin.sources[component] ?? "",
      theirSource: other?.sources[component] ?? "",
    }));
    return [{ ...whole, mineSource: "", theirSource: "" }, ...parts];
  });
}

/** Nodes that refuse for the same reasons together, the reason of most nodes first. */
export function refusals(decision: Decision): { reason: string; nodes: { node: string; detail: string }[] }[] {
  const groups = new Map<string, { node: string; detail: string }[]>();
  for (const node of decision.nodes.filter((n) => !n.feasible)) {
    for (const { plugin, message, detail } of node.reasons) {
      const reason = `${plugin}: ${message}`;
      groups.set(reason, [...(groups.get(reason) ?? []), { node: node.node, detail: detail ?? "" }]);
    }
  }
  return [...groups].map(([reason, nodes]) => ({ reason, nodes })).sort((a, b) => b.nodes.length - a.nodes.length);
}
