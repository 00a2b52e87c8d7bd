// One decision, readable: where and why, the filter funnel, score bars, two nodes side by side, and what would help a refused pod.
// Leaves out what is worked out from a decision (`explain`).

import { html, nothing, type TemplateResult } from "lit-html";
import { bars, colourOf, compare, funnel, refusals, STORAGE_PLUGINS, type Bar, type Row } from "../explain.js";
import type { Decision, Line } from "../types.js";
import { Excerpt, facts, said, scrolling, section, type Context, type Part, type View } from "../view.js";

const BARS = 10;
const REFUSED = 20;

export class Pod implements View {
  readonly refreshMs = 10_000;
  #decision: Decision | null = null;
  /** The node that the best one is compared with. */
  #other: string | null = null;
  readonly #bars: Excerpt;
  readonly #refused: Excerpt;

  constructor(
    private readonly context: Context,
    private readonly namespace: string,
    private readonly name: string,
  ) {
    this.#bars = new Excerpt(context, BARS);
    this.#refused = new Excerpt(context, REFUSED);
  }

  title = () => `${this.namespace}/${this.name}`;

  async load(signal: AbortSignal): Promise<void> {
    this.#decision = await this.context.api.decision(this.namespace, this.name, signal);
  }

  decided = (line: Line): boolean => line.pod === this.title();

  render(): TemplateResult {
    const { t } = this.context.words;
    const decision = this.#decision;
    if (!decision) return html`<p>${t("app.loading")}</p>`;
    return html`${this.#outcome(decision)}${this.#facts(decision)}${this.#funnel(decision)}${this.#scores(decision)}${this.#refusals(decision)}`;
  }

  #outcome(decision: Decision): TemplateResult {
    const { t, format } = this.context.words;
    const would = t("pod.would", { feasible: decision.nFeasible, nodes: decision.nNodes });
    if (decision.node === null) {
      return html`<p class="outcome"><strong class="refused">${t("pod.waits")}</strong> ${would}</p><p class="reason">${said(decision.message ?? "")}</p>`;
    }
    const { runnerUp } = decision;
    const lead = runnerUp ? t("pod.ahead", { node: runnerUp.node, margin: format.number(runnerUp.margin) }) : t("pod.alone");
    return html`<p class="outcome"><strong>${t("pod.isOn", { node: decision.node })}</strong> ${lead} ${would}</p>`;
  }

  #facts(decision: Decision): TemplateResult {
    const { t, named, format } = this.context.words;
    const { policy, took } = decision;
    const fields = Object.entries(decision.profile).map(
      ([field, { value, source, from }]) =>
        html`<li>${said(`${field} ${value}`)} <span class="source">${named("source", source)}${from ? html`: ${said(from)}` : nothing}</span></li>`,
    );
    const advice = Object.entries(policy.advice ?? {}).map(([name, value]) => `${name}=${value}`);
    const told = [policy.decision, policy.requestId, policy.reason, ...advice].filter(Boolean).join(" · ");
    const times = [
      took.decideUs === null ? null : t("pod.tookDecide", { time: format.duration(took.decideUs) }),
      took.attemptUs === null ? null : t("pod.tookBound", { time: format.duration(took.attemptUs) }),
    ].filter((time) => time !== null);
    const waited = format.duration(decision.waitedMs * 1000);
    return facts([
      [t("pod.policy"), policy.source === "FALLBACK" ? html`${t("pod.policyNone")} ${said(told)}` : said(`${policy.source} ${told}`)],
      [t("pod.profile"), fields.length > 0 ? html`<ul class="plain">${fields}</ul>` : t("pod.profileNone")],
      [t("pod.decided"), html`${format.moment(decision.at)} (${t("pod.attempt", { n: decision.attempt, waited })})`],
      [t("pod.took"), times.join(", ") || "–"],
      [t("pod.generation"), html`${t("pod.generationN", { n: decision.configGeneration })}, ${said(decision.schedulerName)}`],
    ]);
  }

  #funnel(decision: Decision): TemplateResult {
    const { t, format } = this.context.words;
    const all = decision.nNodes;
    const bar = (left: number, refused: number) => html`<div class="sieve" aria-hidden="true">
      <span class="left" .style=${`width:${share(left, all)}%`}></span><span class="gone" .style=${`width:${share(refused, all)}%`}></span>
    </div>`;
    const rows = funnel(decision).map(
      ({ plugin, reasons, refused, left }) => html`<tr>
        <th scope="row">${said(plugin)}</th>
        <td>${reasons.map(({ message, nodes }) => html`<div>${said(message)} <span class="source">(${format.number(nodes)})</span></div>`)}</td>
        <td class="number">${t("pod.refusedBy", { n: refused })}</td>
        <td class="number">${left === null ? nothing : t("pod.left", { n: left })}</td>
        <td>${bar(left ?? 0, refused)}</td>
      </tr>`,
    );
    const table = html`<table class="funnel"><tbody>
      <tr><th scope="row">${t("pod.all")}</th><td></td><td></td><td class="number">${format.number(all)}</td><td>${bar(all, 0)}</td></tr>
      ${rows}
      <tr><th scope="row">${t("pod.enough")}</th><td></td><td></td><td class="number">${format.number(decision.nFeasible)}</td><td>${bar(decision.nFeasible, 0)}</td></tr>
    </tbody></table>`;
    return section(t("pod.funnel"), scrolling(t("pod.funnel"), table));
  }

  #scores(decision: Decision): Part {
    const all = bars(decision);
    const best = all[0];
    if (!best) return nothing;
    const { t } = this.context.words;
    const other = all.find((bar) => bar.node === this.#other) ?? all.find((bar) => bar.node === decision.runnerUp?.node) ?? all[1];
    const list = html`<ul class="bars">${this.#bars.first(all).map((bar) => this.#bar(bar, best, other, decision))}</ul>${this.#bars.more(all.length)}`;
    return html`${section(t("pod.bars"), html`<p class="hint">${t("pod.barsHint")}</p>${this.#legend(all)}${list}`)}${this.#compare(decision, best, other)}`;
  }

  #legend(all: Bar[]): TemplateResult {
    const used = new Set(all.flatMap((bar) => bar.segments.map((segment) => segment.colour)));
    const item = (colour: number, name: unknown) => (used.has(colour) ? html`<li><span class="swatch c${colour}"></span>${name}</li>` : nothing);
    return html`<ul class="legend">
      ${STORAGE_PLUGINS.map(([name]) => item(colourOf(name), said(name)))}${item(0, this.context.words.t("pod.others"))}
    </ul>`;
  }

  #bar(bar: Bar, best: Bar, other: Bar | undefined, decision: Decision): TemplateResult {
    const { t, format } = this.context.words;
    const total = format.number(bar.total);
    const choose = () => {
      this.#other = bar.node;
      this.context.update();
    };
    const segment = ({ plugin, colour, points }: Bar["segments"][number]) =>
      html`<span class="segment c${colour}" title=${`${plugin} ${format.number(points)}`} .style=${`flex-grow:${points}`}></span>`;
    return html`<li><button class="bar" aria-pressed=${bar === other} ?disabled=${bar === best} @click=${choose}>
      <span class="bar-node">${bar.node}${bar.node === decision.node ? html` <span class="source">${t("pod.chosen")}</span>` : nothing}</span>
      <span class="bar-track" aria-hidden="true"><span class="bar-fill" .style=${`width:${share(bar.total, best.total)}%`}>${bar.segments.map(segment)}</span></span>
      <span class="bar-total">${total}</span>
    </button></li>`;
  }

  #compare(decision: Decision, best: Bar, other: Bar | undefined): TemplateResult {
    const { t, format } = this.context.words;
    const report = (node: string | undefined) => decision.nodes.find((n) => n.node === node);
    const mine = report(best.node);
    if (!mine) return html``;
    const row = (row: Row) => {
      const lead = row.theirs === null ? null : row.mine - row.theirs;
      return html`<tr class=${row.component === null ? "plugin" : "component"}>
        <th scope="row">${said(row.component ?? row.plugin)}</th>
        <td class="number">${row.component === null ? format.number(row.weight) : nothing}</td>
        <td class="number">${format.number(row.mine)}</td>
        ${lead === null ? nothing : html`<td class="number">${format.number(row.theirs ?? 0)}</td><td class="number ${lead > 0 ? "ahead" : lead < 0 ? "behind" : ""}">${format.signed(lead)}</td>`}
        <td class="read">${said(row.mineSource)}${row.theirSource && row.theirSource !== row.mineSource ? html`<br /><span class="source">${t("pod.there", { source: row.theirSource })}</span>` : nothing}</td>
      </tr>`;
    };
    const title = other ? t("pod.compare", { mine: best.node, theirs: other.node }) : t("pod.single", { mine: best.node });
    const table = html`<table class="compare">
      <thead><tr>
        <th scope="col">${t("pod.plugin")}</th><th scope="col" class="number">${t("pod.weight")}</th><th scope="col" class="number">${said(best.node)}</th>
        ${other ? html`<th scope="col" class="number">${said(other.node)}</th><th scope="col" class="number">${t("pod.lead")}</th>` : nothing}
        <th scope="col">${t("pod.readFrom")}</th>
      </tr></thead>
      <tbody>${compare(mine, report(other?.node)).map(row)}</tbody>
      <tfoot><tr>
        <th scope="row">${t("pod.total")}</th><td></td><td class="number">${format.number(best.total)}</td>
        ${other ? html`<td class="number">${format.number(other.total)}</td><td class="number">${format.signed(best.total - other.total)}</td>` : nothing}
        <td></td>
      </tr></tfoot>
    </table>`;
    return section(title, scrolling(title, table));
  }

  #refusals(decision: Decision): Part {
    const groups = refusals(decision);
    if (groups.length === 0) return nothing;
    const { t } = this.context.words;
    const group = ({ reason, nodes }: (typeof groups)[number]) => {
      const size = nodes.length === 1 ? t("pod.onNode") : t("pod.onNodes", { n: nodes.length });
      const rows = this.#refused.first(nodes).map(({ node, detail }) => html`<li>${said(node)}${detail ? html`: <span class="source">${said(detail)}</span>` : nothing}</li>`);
      return html`<article class="card"><h3>${said(reason)}</h3><p>${size}</p><ul>${rows}</ul>${this.#refused.more(nodes.length)}</article>`;
    };
    return section(t("pod.refusals"), groups.map(group));
  }
}

const share = (part: number, whole: number): number => (whole > 0 ? Math.max(0, (100 * part) / whole) : 0);
