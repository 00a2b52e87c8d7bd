// Asks the scheduler's API, with the caller's token, and says what stands in the way.
// Leaves out what the answers mean.

import { SseParser } from "./sse.js";
import type { Config, Decision, Line, Node, Status, Waiting, WhatIf } from "./types.js";

/** An answer that is none: `status` 0 when nobody answered at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** Who leads instead, with status 421. */
    readonly leader: string | null = null,
  ) {
    super(message);
  }
}

export interface Credentials {
  token: string | null;
}

export class Api {
  constructor(private readonly credentials: Credentials) {}

  status = (signal: AbortSignal) => this.#json<Status>("status", { signal });
  waiting = (signal: AbortSignal) => this.#json<Waiting>("waiting", { signal });
  config = (signal: AbortSignal) => this.#json<Config>("config", { signal });
  nodes = async (signal: AbortSignal) => (await this.#json<{ items: Node[] }>("nodes", { signal })).items;
  decisions = async (limit: number, signal: AbortSignal) =>
    (await this.#json<{ items: Decision[] }>(`decisions?limit=${limit}`, { signal })).items;
  decision = (namespace: string, name: string, signal: AbortSignal) =>
    this.#json<Decision>(`decisions/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`, { signal });
  whatIf = (question: object, signal: AbortSignal) =>
    this.#json<WhatIf>("what-if", {
      signal,
      method: "POST",
      body: JSON.stringify(question),
      headers: { "content-type": "application/json" },
    });

  /** Calls back for every decision from now on, until the connection or `signal` ends. */
  async follow(signal: AbortSignal, opened: () => void, decided: (line: Line) => void): Promise<void> {
    const response = await this.#ask("decisions/stream", { signal });
    opened();
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new SseParser();
    for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
      for (const { event, data } of parser.push(read.value)) if (event === "decision") decided(JSON.parse(data) as Line);
    }
  }

  async #json<T>(path: string, init: RequestInit): Promise<T> {
    return (await (await this.#ask(path, init)).json()) as T;
  }

  async #ask(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.credentials.token !== null) headers.set("authorization", `Bearer ${this.credentials.token}`);
    // Relative, so that the page works under any prefix that a proxy gives it.
    const response = await fetch(`api/v1/${path}`, { ...init, headers, cache: "no-store", credentials: "omit" }).catch((error: unknown) => {
      if (init.signal?.aborted) throw error;
      throw new ApiError(0, String(error));
    });
    if (response.ok) return response;
    const answer = (await response.json().catch(() => ({}))) as { error?: string; leader?: string };
    throw new ApiError(response.status, answer.error ?? response.statusText, answer.leader ?? null);
  }
}
