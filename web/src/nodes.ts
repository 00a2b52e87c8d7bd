// Nodes by tier and zone, with sums of what they offer and what is left.
// Leaves out how it looks.

import type { Budgets, Node } from "./types.js";

/** Best first, as the scheduler ranks them; what a node without a tier is under comes last. */
export const TIERS = ["memory", "nvme", "ssd", "csd", "hdd"];

export const BUDGETS = ["iops", "throughputMbps", "capacityGb"] as const satisfies readonly (keyof Budgets)[];
export type Budget = (typeof BUDGETS)[number];

/** Sum over the nodes that say what they offer. */
export interface Sum {
  offered: number;
  left: number;
  nNodes: number;
}

export interface Cell {
  nodes: Node[];
  nPods: number;
  sums: Record<Budget, Sum>;
}

/** Tiers down, zones across; "" is what nodes do not say. */
export interface Matrix {
  tiers: string[];
  zones: string[];
  cell(tier: string, zone: string): Cell;
}

export const tierOf = (node: Node): string => node.tiers[0] ?? "";
export const zoneOf = (node: Node): string => node.zone ?? "";

export function sumOf(nodes: Node[]): Cell {
  const sum = (budget: Budget): Sum => {
    const saying = nodes.filter((node) => node[budget] !== null);
    const add = (pick: (node: Node) => number | null) => saying.reduce((all, node) => all + (pick(node) ?? 0), 0);
    return { offered: add((n) => n[budget]), left: add((n) => n.remaining[budget]), nNodes: saying.length };
  };
  return {
    nodes,
    nPods: nodes.reduce((all, node) => all + node.nPods, 0),
    sums: { iops: sum("iops"), throughputMbps: sum("throughputMbps"), capacityGb: sum("capacityGb") },
  };
}

export function matrix(nodes: Node[]): Matrix {
  const cells = new Map<string, Node[]>();
  for (const node of nodes) {
    const key = `${tierOf(node)}\n${zoneOf(node)}`;
    cells.set(key, [...(cells.get(key) ?? []), node]);
  }
  const rank = (tier: string) => (tier === "" ? TIERS.length + 1 : TIERS.indexOf(tier) < 0 ? TIERS.length : TIERS.indexOf(tier));
  const tiers = [...new Set(nodes.map(tierOf))].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const zones = [...new Set(nodes.map(zoneOf))].sort((a, b) => Number(a === "") - Number(b === "") || (a < b ? -1 : 1));
  return { tiers, zones, cell: (tier, zone) => sumOf(cells.get(`${tier}\n${zone}`) ?? []) };
}
