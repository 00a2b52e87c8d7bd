// The part of the address after `#`: which view is shown, and of what.
// Leaves out what a view does.

export type Route =
  | { view: "overview" }
  | { view: "queue" }
  | { view: "pod"; namespace: string; name: string }
  | { view: "weights" }
  | { view: "config" };

export function parseRoute(hash: string): Route {
  const [view, namespace, name] = hash.replace(/^#\/?/, "").split("/").map(decoded);
  if (view === "pod" && namespace && name) return { view, namespace, name };
  if (view === "queue" || view === "weights" || view === "config") return { view };
  return { view: "overview" };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // not written by this page
  }
}

/** The address of a pod's decision. */
export function podHref(pod: string): string {
  return `#/pod/${pod.split("/").map(encodeURIComponent).join("/")}`;
}

/** What a person types to find a pod: `namespace/name`, or a name in `default`. */
export function podTyped(text: string): string | null {
  const parts = text.trim().split("/");
  if (parts.some((part) => part === "") || parts.length > 2) return null;
  return parts.length === 2 ? parts.join("/") : `default/${parts[0]}`;
}
