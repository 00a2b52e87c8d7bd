// Weights that someone tries: which differ from those in force, the what-if question, and the command that would apply them.
// Leaves out asking, and how it looks.

import { STORAGE_PLUGINS } from "./explain.js";
import type { Config } from "./types.js";

/** Largest weight that an AIStorageConfig takes. */
export const MAX_WEIGHT = 10;
/** Latest decisions that a trial looks at: so many on pods that run, so many on pods that are gone. */
export const LATEST = 200;

/** Weight by the plugin's key in the configuration. */
export type Weights = Record<string, number>;

export function inForce(config: Config): Weights {
  return Object.fromEntries(Object.entries(config.spec.plugins).map(([key, plugin]) => [key, plugin.weight]));
}

/** The weights that differ from those in force. */
export function changed(config: Config, tried: Weights): Weights {
  const now = inForce(config);
  return Object.fromEntries(Object.entries(tried).filter(([key, weight]) => key in now && now[key] !== weight));
}

/** Profiles that give a plugin a weight of their own, whatever the configuration says. */
export function overruled(config: Config, key: string): { profile: string; weight: number }[] {
  const name = STORAGE_PLUGINS.find(([, k]) => k === key)?.[0];
  const settings = config.spec.plugins[key];
  if (!settings?.enabled) return [];
  return config.profiles.flatMap(({ schedulerName, plugins }) => {
    const own = plugins.find((plugin) => plugin.name === name)?.weight;
    return own === undefined || own === settings.weight ? [] : [{ profile: schedulerName, weight: own }];
  });
}

/** The body of the what-if question. */
export function question(change: Weights): object {
  const set = Object.fromEntries(Object.entries(change).map(([key, weight]) => [`spec.plugins.${key}.weight`, weight]));
  return { set, running: LATEST, decisions: LATEST };
}

/** The command that would bring these weights into force. */
export function command(config: Config, change: Weights): string {
  const [namespace, name] = config.object.split("/");
  const spec = { plugins: Object.fromEntries(Object.entries(change).map(([key, weight]) => [key, { weight }])) };
  if (config.status !== "absent") return `kubectl patch aisc ${name} -n ${namespace} --type merge -p '${JSON.stringify({ spec })}'`;
  const object = { apiVersion: "ai-storage.keti/v1", kind: "AIStorageConfig", metadata: { name, namespace }, spec };
  return `echo '${JSON.stringify(object)}' | kubectl apply -f -`;
}
