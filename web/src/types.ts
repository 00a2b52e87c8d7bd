// What the API answers, as far as the page reads it: the schemas of /api/openapi.json.
// Leaves out fields that no view shows.

export interface Budgets {
  iops: number | null;
  throughputMbps: number | null;
  capacityGb: number | null;
}

export interface Node extends Budgets {
  name: string;
  tiers: string[];
  zone: string | null;
  rack: string | null;
  remaining: Budgets;
  cachedDatasets: string[];
  cores: number;
  memoryGb: number;
  nPods: number;
  sources: Record<string, string>;
}

export interface PluginScore {
  name: string;
  weight: number;
  score: number;
  skipped: boolean;
  components: Record<string, number>;
  sources: Record<string, string>;
}

export interface Reason {
  plugin: string;
  message: string;
  detail?: string;
}

export interface NodeReport {
  node: string;
  feasible: boolean;
  reasons: Reason[];
  total: number | null;
  plugins: PluginScore[];
}

export interface RunnerUp {
  node: string;
  margin: number;
}

export interface Verdict {
  plugin: string;
  message: string;
  nodes: number;
}

export interface Decision {
  pod: string;
  schedulerName: string;
  node: string | null;
  message: string | null;
  policy: { source: string; requestId: string | null; decision?: string; reason?: string; advice?: Record<string, string> };
  profile: Record<string, { value: string; source: string; from?: string }>;
  configGeneration: number;
  nNodes: number;
  nFeasible: number;
  nodes: NodeReport[];
  runnerUp: RunnerUp | null;
  verdicts: Verdict[];
  at: number;
  attempt: number;
  waitedMs: number;
  took: { decideUs: number | null; attemptUs: number | null };
}

/** A decision as the stream tells of it. */
export interface Line {
  at: number;
  pod: string;
  node: string | null;
  message: string | null;
  total: number | null;
  runnerUp: RunnerUp | null;
  configGeneration: number;
}

export interface WaitingPod {
  pod: string;
  priority: number;
  queue: string;
  attempts: number;
  since: number;
}

export interface WaitingGroup {
  reason: string;
  plugins: string[];
  nPods: number;
  pods: WaitingPod[];
}

export interface Waiting {
  nWaiting: number;
  groups: WaitingGroup[];
}

export interface Status {
  version: string;
  synced: boolean;
  configGeneration: number;
  queue: Record<"active" | "backoff" | "unschedulable" | "gated", number>;
  nWaiting: number;
  nNodes: number;
  nPods: number;
  leading: boolean;
  leader: string | null;
  apollo: Json;
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface PluginSettings {
  enabled: boolean;
  weight: number;
  scoring: Record<string, number>;
}

export interface Config {
  generation: number;
  object: string;
  status: "accepted" | "invalid" | "absent";
  faults: string[];
  spec: { plugins: Record<string, PluginSettings>; [section: string]: Json | Record<string, PluginSettings> };
  profiles: { schedulerName: string; plugins: { name: string; weight: number }[] }[];
}

export interface Move {
  pod: string;
  kind: "waiting" | "new" | "evicted" | "running" | "decided";
  before: string | null;
  after: string | null;
  why: string;
}

export interface WhatIf {
  moves: Move[];
  before: { placed: number; waiting: number };
  after: { placed: number; waiting: number };
  nRunning: number;
  nDecided: number;
}
