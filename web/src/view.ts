// What a view is, and the small parts that views share.
// Leaves out which views there are (`app`).

import { html, nothing, type TemplateResult } from "lit-html";
import type { Api } from "./api.js";
import type { Key, Words } from "./i18n.js";
import { podHref } from "./route.js";
import type { Line } from "./types.js";

/** What a view gets from the page. */
export interface Context {
  readonly api: Api;
  /** In the language of the moment. */
  readonly words: Words;
  /** Shows what has changed. */
  update(): void;
}

export interface View {
  /** What the window is called. */
  title(): string;
  /** Asks for what it shows; it is asked again every `refreshMs`. */
  load(signal: AbortSignal): Promise<void>;
  readonly refreshMs: number;
  /** A decision was taken; true asks for a fresh load. */
  decided?(line: Line): boolean;
  render(): TemplateResult;
}

export type Part = TemplateResult | typeof nothing | string;

/** The name of a pod that leads to its decision. */
export const podLink = (pod: string): TemplateResult => html`<a href=${podHref(pod)}>${pod}</a>`;

/** Words of the scheduler itself, which are English on every page. */
export const said = (text: string): TemplateResult => html`<span lang="en">${text}</span>`;

/** A table that scrolls sideways on a narrow screen, also by keyboard. */
export const scrolling = (label: string, table: TemplateResult): TemplateResult =>
  html`<div class="scroll" role="region" aria-label=${label} tabindex="0">${table}</div>`;

/** A heading and what is under it. */
export function section(title: string, body: unknown, extra: Part = nothing): TemplateResult {
  return html`<section><div class="heading"><h2>${title}</h2>${extra}</div>${body}</section>`;
}

/** Terms and what they are. */
export const facts = (rows: [term: string, value: unknown][]): TemplateResult =>
  html`<dl class="facts">${rows.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>`;

/** The first rows, and a button for the rest: a thousand rows help nobody. */
export class Excerpt {
  #all = false;

  constructor(
    private readonly context: Context,
    private readonly most: number,
  ) {}

  first<T>(rows: T[]): T[] {
    return this.#all ? rows : rows.slice(0, this.most);
  }

  more(n: number): Part {
    if (this.#all || n <= this.most) return nothing;
    const show = () => {
      this.#all = true;
      this.context.update();
    };
    return html`<button class="quiet" @click=${show}>${this.context.words.t("app.more", { n })}</button>`;
  }
}

/** A command to run elsewhere, with a button that copies it. */
export class Copyable {
  #said: Key = "copy.do";
  #of = "";

  constructor(private readonly context: Context) {}

  render(command: string): TemplateResult {
    if (this.#of !== command) [this.#of, this.#said] = [command, "copy.do"];
    const { t } = this.context.words;
    return html`<div class="command">
      <pre tabindex="0"><code lang="en">${command}</code></pre>
      <button @click=${(e: Event) => void this.#copy(command, e.currentTarget as Element)}>${t("copy.do")}</button>
      <span role="status">${this.#said === "copy.do" ? "" : t(this.#said)}</span>
    </div>`;
  }

  async #copy(command: string, button: Element): Promise<void> {
    try {
      await navigator.clipboard.writeText(command);
      this.#said = "copy.done";
    } catch {
      const code = button.parentElement?.querySelector("code");
      if (code) getSelection()?.selectAllChildren(code);
      this.#said = "copy.failed";
    }
    this.context.update();
  }
}
