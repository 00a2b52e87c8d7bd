// Weights to try: sliders, what would happen with them, and the command that brings them into force.
// Leaves out the question and the command (`weights`); touches nothing in the cluster.

import { html, nothing, type TemplateResult } from "lit-html";
import { ApiError } from "../api.js";
import { STORAGE_PLUGINS } from "../explain.js";
import type { Config, Move, WhatIf } from "../types.js";
import { Copyable, Excerpt, podLink, said, scrolling, section, type Context, type Part, type View } from "../view.js";
import { changed, command, inForce, MAX_WEIGHT, overruled, question, type Weights } from "../weights.js";

const MOVES = 50;
/** A slider that is still moving asks nothing yet. */
const SETTLED_MS = 300;

export class WeightsView implements View {
  readonly refreshMs = 5000;
  #config: Config | null = null;
  #tried: Weights = {};
  #asked = new AbortController();
  #answer: WhatIf | ApiError | null = null;
  #applied = false;
  readonly #copyable: Copyable;
  readonly #excerpt: Excerpt;

  constructor(private readonly context: Context) {
    this.#copyable = new Copyable(context);
    this.#excerpt = new Excerpt(context, MOVES);
  }

  title = () => this.context.words.t("view.weights");

  async load(signal: AbortSignal): Promise<void> {
    const [was, config] = [this.#config, await this.context.api.config(signal)];
    signal.addEventListener("abort", () => this.#asked.abort(), { once: true });
    this.#config = config;
    if (was?.generation === config.generation) return;
    const before = was ? changed(was, this.#tried) : {};
    this.#tried = { ...inForce(config), ...before };
    this.#applied = was !== null;
    this.#ask();
  }

  render(): TemplateResult {
    const { t } = this.context.words;
    const config = this.#config;
    if (!config) return html`<p>${t("app.loading")}</p>`;
    const change = changed(config, this.#tried);
    const isChanged = Object.keys(change).length > 0;
    const reset = html`<button class="quiet" ?disabled=${!isChanged} @click=${() => this.#try(inForce(config))}>${t("weights.reset")}</button>`;
    const sliders = STORAGE_PLUGINS.map(([name, key]) => this.#slider(config, name, key));
    return html`
      <p>${t("weights.intro")}</p>
      ${section(t("weights.trial"), html`<div class="sliders">${sliders}</div>`, reset)}
      ${section(t("weights.result"), html`<div role="status">${this.#summary(isChanged)}</div>${isChanged ? this.#moves() : nothing}`)}
      ${isChanged ? section(t("weights.apply"), this.#copyable.render(command(config, change))) : nothing}
    `;
  }

  #slider(config: Config, name: string, key: string): Part {
    const settings = config.spec.plugins[key];
    if (!settings) return nothing;
    const { t } = this.context.words;
    const value = this.#tried[key] ?? settings.weight;
    const move = (event: Event) => this.#try({ ...this.#tried, [key]: Number((event.currentTarget as HTMLInputElement).value) });
    const notes = [
      ...(settings.enabled ? [] : [t("weights.off")]),
      ...overruled(config, key).map(({ profile, weight }) => t("weights.overruled", { profile, weight })),
    ];
    const id = `weight-${key}`;
    return html`<div class="slider">
      <label for=${id}>${said(name)}</label>
      <input id=${id} type="range" min="0" max=${MAX_WEIGHT} step="1" .value=${String(value)} ?disabled=${!settings.enabled} aria-describedby="${id}-note" @input=${move} />
      <output for=${id} class=${value === settings.weight ? "" : "changed"}>${value}</output>
      <span class="hint" id="${id}-note">${t("weights.inForce", { n: settings.weight })} ${notes.join(" ")}</span>
    </div>`;
  }

  #try(tried: Weights): void {
    this.#tried = tried;
    this.#applied = false;
    this.#ask();
    this.context.update();
  }

  /** Asks what would happen, when the sliders have come to rest; a question that was under way is given up. */
  #ask(): void {
    this.#asked.abort();
    this.#answer = null;
    const change = this.#config ? changed(this.#config, this.#tried) : {};
    if (Object.keys(change).length === 0) return;
    const { signal } = (this.#asked = new AbortController());
    const answer = async () => {
      const result = await this.context.api.whatIf(question(change), signal).catch((error: unknown) => (error instanceof ApiError ? error : null));
      if (signal.aborted) return;
      this.#answer = result;
      this.context.update();
    };
    const timer = setTimeout(() => void answer(), SETTLED_MS);
    signal.addEventListener("abort", () => clearTimeout(timer));
  }

  #summary(isChanged: boolean): Part {
    const { t } = this.context.words;
    const answer = this.#answer;
    if (!isChanged) return html`${this.#applied ? t("weights.applied") : nothing} ${t("weights.unchanged")}`;
    if (answer === null) return t("weights.working");
    if (answer instanceof ApiError) return html`<span class="refused">${said(answer.message)}</span>`;
    const { nRunning: running, nDecided: gone, before, after } = answer;
    const n = running + gone;
    const moves = answer.moves.filter(({ kind }) => kind === "running" || kind === "decided").length;
    return html`<p><strong>${moves > 0 ? t("weights.moves", { moves, n }) : t("weights.movesNone", { n })}</strong> ${t("weights.how", { running, gone })}</p>
      <p>${t("weights.waiting", { before: before.placed, after: after.placed })}</p>`;
  }

  #moves(): Part {
    const answer = this.#answer;
    if (answer === null || answer instanceof ApiError || answer.moves.length === 0) return nothing;
    const { t, named } = this.context.words;
    const node = (name: string | null) => (name === null ? t("weights.nowhere") : said(name));
    const row = (move: Move) => html`<tr>
      <th scope="row">${podLink(move.pod)}</th><td>${named("kind", move.kind)}</td>
      <td>${node(move.before)}</td><td>${node(move.after)}</td><td>${said(move.why)}</td>
    </tr>`;
    const table = html`<table class="moves">
      <thead><tr>${(["pod", "kind", "before", "after", "why"] as const).map((name) => html`<th scope="col">${t(`weights.${name}`)}</th>`)}</tr></thead>
      <tbody>${this.#excerpt.first(answer.moves).map(row)}</tbody>
    </table>`;
    return html`${scrolling(t("weights.result"), table)}${this.#excerpt.more(answer.moves.length)}`;
  }
}
