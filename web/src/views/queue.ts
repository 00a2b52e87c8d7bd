// Who waits and why, and the decisions as they are taken.
// Leaves out one decision in full (`pod`).

import { html, nothing, type TemplateResult } from "lit-html";
import type { Line, Status, Waiting, WaitingGroup } from "../types.js";
import { Excerpt, podLink, said, scrolling, section, type Context, type View } from "../view.js";

const QUEUES = ["active", "backoff", "unschedulable", "gated"] as const;
/** Decisions shown; older ones make room. */
const SHOWN = 100;

export class Queue implements View {
  readonly refreshMs = 5000;
  #waiting: Waiting | null = null;
  #status: Status | null = null;
  #lines: Line[] = [];
  #paused: Line[] | null = null;
  readonly #excerpts = new Map<string, Excerpt>();

  constructor(private readonly context: Context) {}

  title = () => this.context.words.t("view.queue");

  async load(signal: AbortSignal): Promise<void> {
    const { api } = this.context;
    const first = this.#waiting === null;
    const [waiting, status, past] = await Promise.all([api.waiting(signal), api.status(signal), first ? api.decisions(SHOWN, signal) : []]);
    [this.#waiting, this.#status] = [waiting, status];
    // The stream may have told of some of them meanwhile, by a clock that was read a little later.
    const same = (a: Line, b: Line) => a.pod === b.pod && a.node === b.node && Math.abs(a.at - b.at) < 500;
    const lines = past.map((d) => ({ ...d, total: d.nodes[0]?.total ?? null }));
    const older = lines.filter((line) => !this.#lines.some((told) => same(told, line)));
    this.#lines = [...this.#lines, ...older].slice(0, SHOWN);
  }

  decided(line: Line): boolean {
    if (this.#paused) this.#paused = [line, ...this.#paused].slice(0, SHOWN);
    else this.#lines = [line, ...this.#lines].slice(0, SHOWN);
    return true;
  }

  render(): TemplateResult {
    const { t, format } = this.context.words;
    const [waiting, status] = [this.#waiting, this.#status];
    if (!waiting || !status) return html`<p>${t("app.loading")}</p>`;
    const groups = waiting.groups.map((group) => this.#group(group));
    return html`
      <ul class="tiles">${QUEUES.map((queue) => html`<li><b>${format.number(status.queue[queue])}</b> ${t(`queue.${queue}`)}</li>`)}</ul>
      ${section(t("queue.waiting"), waiting.nWaiting === 0 ? html`<p>${t("queue.nobody")}</p>` : groups)} ${this.#latest()}
    `;
  }

  #group(group: WaitingGroup): TemplateResult {
    const { t, named, format } = this.context.words;
    const size = group.nPods === 1 ? t("queue.groupOne") : t("queue.group", { n: group.nPods });
    let excerpt = this.#excerpts.get(group.reason);
    if (!excerpt) this.#excerpts.set(group.reason, (excerpt = new Excerpt(this.context, 10)));
    const rows = excerpt.first(group.pods).map(
      (pod) => html`<tr>
        <th scope="row">${podLink(pod.pod)}</th>
        <td>${named("queue", pod.queue)}</td>
        <td class="number">${format.number(pod.priority)}</td>
        <td class="number">${format.number(pod.attempts)}</td>
        <td><time datetime=${new Date(pod.since).toISOString()} title=${format.moment(pod.since)}>${format.ago(pod.since, Date.now())}</time></td>
      </tr>`,
    );
    const table = html`<table>
      <thead><tr>
        <th scope="col">${t("queue.pod")}</th><th scope="col">${t("queue.where")}</th>
        <th scope="col" class="number">${t("queue.priority")}</th><th scope="col" class="number">${t("queue.attempts")}</th>
        <th scope="col">${t("queue.since")}</th>
      </tr></thead>
      <tbody>${rows}</tbody>
    </table>`;
    return html`<article class="card"><h3>${size}</h3><p class="reason">${said(group.reason)}</p>${scrolling(group.reason, table)}${excerpt.more(group.pods.length)}</article>`;
  }

  #latest(): TemplateResult {
    const { t, format } = this.context.words;
    const paused = this.#paused;
    const toggle = () => {
      this.#lines = [...(paused ?? []), ...this.#lines].slice(0, SHOWN);
      this.#paused = paused ? null : [];
      this.context.update();
    };
    const more = paused && paused.length > 0 ? html`<span>${t("queue.paused", { n: paused.length })}</span>` : nothing;
    const button = html`${more}<button class="quiet" aria-pressed=${paused !== null} @click=${toggle}>${t(paused ? "queue.resume" : "queue.pause")}</button>`;
    const row = (line: Line) => html`<tr>
      <td><time datetime=${new Date(line.at).toISOString()}>${format.time(line.at)}</time></td>
      <th scope="row">${podLink(line.pod)}</th>
      <td>${line.node === null ? html`<span class="refused">${t("queue.refused")}</span> ${said(line.message ?? "")}` : said(line.node)}</td>
      <td class="number">${line.node === null || line.total === null ? "–" : format.number(line.total)}</td>
      <td class="number">${line.runnerUp ? html`${format.signed(line.runnerUp.margin)} ${said(line.runnerUp.node)}` : "–"}</td>
    </tr>`;
    const table = html`<table class="latest">
      <thead><tr>
        <th scope="col">${t("queue.when")}</th><th scope="col">${t("queue.pod")}</th><th scope="col">${t("queue.outcome")}</th>
        <th scope="col" class="number">${t("queue.total")}</th><th scope="col" class="number">${t("queue.margin")}</th>
      </tr></thead>
      <tbody>${this.#lines.map(row)}</tbody>
    </table>`;
    const title = t("queue.latest");
    return section(title, this.#lines.length === 0 ? html`<p>${t("queue.none")}</p>` : scrolling(title, table), button);
  }
}
