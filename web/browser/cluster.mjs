// A running scheduler with a real control plane, as the quick start leaves it: labelled nodes, the default configuration, ten pods.
// Leaves out the browser.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Starts it with the debug build; `stop` ends it. */
export function startCluster() {
  const scheduler = process.env.SCHEDULER ?? `${process.env.CARGO_TARGET_DIR ?? `${root}target`}/debug/ai-storage-scheduler`;
  const { status, stdout, stderr } = spawnSync(`${root}scripts/quickstart.sh`, ["--keep"], {
    encoding: "utf8",
    env: { ...process.env, SCHEDULER: scheduler },
  });
  if (status !== 0) throw new Error(`the quick start failed:\n${stdout}\n${stderr}`);
  const find = (pattern) => pattern.exec(stdout)?.[1] ?? fail(`the quick start says nothing like ${pattern}:\n${stdout}`);
  const folder = find(/^Everything is left running, in (.*):$/m);
  const env = { ...process.env, KUBECONFIG: find(/^ *export KUBECONFIG=(\S+) /m), PATH: `${folder}/bin:${process.env.PATH}` };
  const stopping = find(/^ *(kill .*; rm -rf .*)$/m);
  return {
    url: find(/--server (https:\S+)/),
    /** Runs a command as a person with a kubeconfig would; what it printed. */
    shell(command, input = "") {
      const ran = spawnSync("bash", ["-ec", command], { encoding: "utf8", env, input });
      if (ran.status !== 0) fail(`${command}\n${ran.stdout}${ran.stderr}`);
      return ran.stdout;
    },
    apply(...objects) {
      this.shell("kubectl apply -f -", JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
    },
    stop: () => spawnSync("bash", ["-c", stopping]),
  };
}

function fail(message) {
  throw new Error(message);
}

/** A pod that runs until it is deleted. */
export function pod(name, cpu, annotations = {}) {
  const requests = { cpu, memory: "1Gi" };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default", annotations },
    spec: {
      schedulerName: "ai-storage-scheduler",
      terminationGracePeriodSeconds: 0,
      containers: [{ name: "c", image: "busybox", command: ["sleep", "infinity"], resources: { requests } }],
    },
  };
}
