// The cluster by tier and zone, with what is left of the I/O budgets, and its nodes.
// Leaves out sums (`nodes`).

import { html, nothing, type TemplateResult } from "lit-html";
import { BUDGETS, matrix, tierOf, zoneOf, type Budget, type Cell, type Sum } from "../nodes.js";
import type { Node, Status } from "../types.js";
import { Excerpt, said, scrolling, section, type Context, type View } from "../view.js";

const SHOWN = 50;

export class Overview implements View {
  readonly refreshMs = 10_000;
  #nodes: Node[] | null = null;
  #status: Status | null = null;
  #chosen: { tier: string; zone: string } | null = null;
  readonly #excerpt: Excerpt;

  constructor(private readonly context: Context) {
    this.#excerpt = new Excerpt(context, SHOWN);
  }

  title = () => this.context.words.t("view.overview");

  async load(signal: AbortSignal): Promise<void> {
    const { api } = this.context;
    [this.#nodes, this.#status] = await Promise.all([api.nodes(signal), api.status(signal)]);
  }

  render(): TemplateResult {
    const { t } = this.context.words;
    const [nodes, status] = [this.#nodes, this.#status];
    if (!nodes || !status) return html`<p>${t("app.loading")}</p>`;
    const tiles = [
      [status.nNodes, t("overview.nodes")],
      [status.nPods, t("overview.pods")],
      [status.nWaiting, t("overview.waiting")],
    ] as const;
    return html`
      ${status.synced ? nothing : html`<p class="note">${t("overview.notSynced")}</p>`}
      <ul class="tiles">${tiles.map(([n, name]) => html`<li><b>${this.context.words.format.number(n)}</b> ${name}</li>`)}</ul>
      ${nodes.length === 0 ? html`<p>${t("overview.empty")}</p>` : html`${this.#matrix(nodes)}${this.#list(nodes)}`}
    `;
  }

  #matrix(nodes: Node[]): TemplateResult {
    const { t } = this.context.words;
    const { tiers, zones, cell } = matrix(nodes);
    const row = (tier: string) => html`<tr>
      <th scope="row">${this.#tier(tier)}</th>
      ${zones.map((zone) => html`<td>${this.#cell(cell(tier, zone), tier, zone)}</td>`)}
    </tr>`;
    const table = html`<table class="matrix">
      <thead><tr><th scope="col">${t("overview.tier")}</th>${zones.map((zone) => html`<th scope="col">${this.#zone(zone)}</th>`)}</tr></thead>
      <tbody>${tiers.map(row)}</tbody>
    </table>`;
    return section(t("overview.matrix"), html`<p class="hint">${t("overview.matrixHint")}</p>${scrolling(t("overview.matrix"), table)}`);
  }

  #tier = (tier: string): string => tier || this.context.words.t("overview.noTier");
  #zone = (zone: string): string => zone || this.context.words.t("overview.noZone");

  #cell(cell: Cell, tier: string, zone: string): TemplateResult {
    if (cell.nodes.length === 0) return html`<span class="empty">–</span>`;
    const { t } = this.context.words;
    const pods = cell.nPods;
    const size = cell.nodes.length === 1 ? t("overview.cellOne", { pods }) : t("overview.cell", { nodes: cell.nodes.length, pods });
    const chosen = this.#chosen?.tier === tier && this.#chosen.zone === zone;
    const choose = () => {
      this.#chosen = chosen ? null : { tier, zone };
      this.context.update();
    };
    return html`<button class="choice" aria-pressed=${chosen} @click=${choose}>${size}</button>
      ${BUDGETS.map((budget) => this.#meter(budget, cell.sums[budget]))}`;
  }

  #meter(budget: Budget, { offered, left, nNodes }: Sum): TemplateResult | typeof nothing {
    if (nNodes === 0) return nothing;
    const { t } = this.context.words;
    const text = t("overview.left", { left, offered });
    const share = offered > 0 ? (100 * left) / offered : 0;
    return html`<div class="budget">
      <div class="budget-text"><span>${t(`budget.${budget}`)}</span> <span>${text}</span></div>
      <div class="meter" role="meter" aria-label=${t(`budget.${budget}`)} aria-valuemin="0" aria-valuemax=${offered} aria-valuenow=${left} aria-valuetext=${text}>
        <span .style=${`width:${share}%`}></span>
      </div>
    </div>`;
  }

  #list(nodes: Node[]): TemplateResult {
    const { t, format } = this.context.words;
    const chosen = this.#chosen;
    const shown = chosen ? nodes.filter((node) => tierOf(node) === chosen.tier && zoneOf(node) === chosen.zone) : nodes;
    const title = chosen ? t("overview.listOf", { tier: this.#tier(chosen.tier), zone: this.#zone(chosen.zone) }) : t("overview.list");
    const all = () => {
      this.#chosen = null;
      this.context.update();
    };
    const budget = (node: Node, name: Budget) =>
      node[name] === null ? "–" : t("overview.left", { left: node.remaining[name] ?? 0, offered: node[name] ?? 0 });
    const from = (node: Node, fact: string) => (node.sources[fact] ? t("overview.from", { source: node.sources[fact] }) : nothing);
    const row = (node: Node) => html`<tr>
      <th scope="row">${said(node.name)}</th>
      <td title=${from(node, "tiers")}>${node.tiers.join(", ") || "–"}</td>
      <td title=${from(node, "zone")}>${node.zone ?? "–"}</td>
      <td title=${from(node, "rack")}>${node.rack ?? "–"}</td>
      <td class="number">${format.number(node.nPods)}</td>
      ${BUDGETS.map((name) => html`<td class="number" title=${from(node, name)}>${budget(node, name)}</td>`)}
      <td title=${from(node, "cachedDatasets")}>${node.cachedDatasets.join(", ") || "–"}</td>
    </tr>`;
    const table = html`<table>
      <thead><tr>
        ${(["node", "tier", "zone", "rack"] as const).map((name) => html`<th scope="col">${t(`overview.${name}`)}</th>`)}
        <th scope="col" class="number">${t("overview.podsOn")}</th>
        ${BUDGETS.map((name) => html`<th scope="col" class="number">${t(`budget.${name}`)}</th>`)}
        <th scope="col">${t("overview.cached")}</th>
      </tr></thead>
      <tbody>${this.#excerpt.first(shown).map(row)}</tbody>
    </table>`;
    const back = chosen ? html`<button class="quiet" @click=${all}>${t("overview.showAll")}</button>` : nothing;
    return section(title, html`${scrolling(title, table)}${this.#excerpt.more(shown.length)}`, back);
  }
}
