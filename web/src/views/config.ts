// The configuration in force, each profile's plugins, and how APOLLO does.
// Leaves out changing anything.

import { html, nothing, type TemplateResult } from "lit-html";
import { STORAGE_PLUGINS } from "../explain.js";
import type { Config, Json, Status } from "../types.js";
import { facts, said, scrolling, section, type Context, type View } from "../view.js";

export class ConfigView implements View {
  readonly refreshMs = 10_000;
  #config: Config | null = null;
  #status: Status | null = null;

  constructor(private readonly context: Context) {}

  title = () => this.context.words.t("view.config");

  async load(signal: AbortSignal): Promise<void> {
    const { api } = this.context;
    [this.#config, this.#status] = await Promise.all([api.config(signal), api.status(signal)]);
  }

  render(): TemplateResult {
    const { t } = this.context.words;
    const [config, status] = [this.#config, this.#status];
    if (!config || !status) return html`<p>${t("app.loading")}</p>`;
    const faults = config.faults.map((fault) => html`<li>${said(fault)}</li>`);
    const { plugins: _shownAbove, ...rest } = config.spec;
    return html`
      ${facts([
        [t("config.object"), html`${said(config.object)}: ${t(`config.${config.status}`, { n: config.generation })}`],
        ...(faults.length > 0 ? [[t("config.faults"), html`<ul class="plain refused">${faults}</ul>`] as [string, unknown]] : []),
        [t("config.version"), said(status.version)],
      ])}
      ${this.#apollo(config, status)} ${this.#plugins(config)} ${config.profiles.map((profile) => this.#profile(profile))}
      ${section(t("config.rest"), this.#tree(rest as Json, true))}
    `;
  }

  #apollo(config: Config, status: Status): TemplateResult {
    const { t, named } = this.context.words;
    const { endpoint } = config.spec["apollo"] as { endpoint: string };
    const counts = status.apollo !== null && typeof status.apollo === "object" && !Array.isArray(status.apollo) ? status.apollo : {};
    const shown = (value: Json) => (value !== null && typeof value === "object" ? this.#tree(value) : this.#plain(value));
    const rows = Object.entries(counts).map(([name, value]) => [named("apollo", name), shown(value)] as [string, unknown]);
    return section(t("config.apollo"), facts([[t("config.endpoint"), endpoint ? said(endpoint) : t("config.apolloOff")], ...rows]));
  }

  #plugins(config: Config): TemplateResult {
    const { t, format } = this.context.words;
    const rows = STORAGE_PLUGINS.flatMap(([name, key]) => {
      const settings = config.spec.plugins[key];
      if (!settings) return [];
      const maxima = Object.entries(settings.scoring).map(([part, most]) => `${part.replace(/ScoreMax$/, "")} ${most}`);
      return [html`<tr><th scope="row">${said(name)}</th><td>${t(settings.enabled ? "config.yes" : "config.no")}</td><td class="number">${format.number(settings.weight)}</td><td>${said(maxima.join(", "))}</td></tr>`];
    });
    const title = t("config.plugins");
    const table = html`<table>
      <thead><tr><th scope="col">${t("pod.plugin")}</th><th scope="col">${t("config.enabled")}</th><th scope="col" class="number">${t("config.weightOf")}</th><th scope="col">${t("config.maxima")}</th></tr></thead>
      <tbody>${rows}</tbody>
    </table>`;
    return section(title, html`${scrolling(title, table)}<p><a href="#/weights">${t("view.weights")}</a></p>`);
  }

  #profile({ schedulerName, plugins }: Config["profiles"][number]): TemplateResult {
    const { t, format } = this.context.words;
    const scoring = plugins.filter((plugin) => plugin.weight > 0);
    const others = plugins.filter((plugin) => plugin.weight === 0).map((plugin) => plugin.name);
    return section(
      `${t("config.profiles")}: ${schedulerName}`,
      html`<ul class="chips">${scoring.map(({ name, weight }) => html`<li>${said(name)} <b>${format.number(weight)}</b></li>`)}</ul>
        ${others.length > 0 ? html`<p class="hint">${t("config.filtersOnly", { plugins: others.join(", ") })}</p>` : nothing}`,
    );
  }

  /** Fields within fields, by their names in the configuration. */
  #tree(value: Json, isTop = false): TemplateResult {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return html`${this.#plain(value)}`;
    return html`<dl class="tree ${isTop ? "columns" : ""}">${Object.entries(value).map(([name, inner]) => html`<div><dt>${said(name)}</dt><dd>${this.#tree(inner)}</dd></div>`)}</dl>`;
  }

  #plain(value: Json): unknown {
    const { t, format } = this.context.words;
    if (typeof value === "boolean") return t(value ? "config.yes" : "config.no");
    if (typeof value === "number") return format.number(value);
    return said(typeof value === "string" ? value : JSON.stringify(value));
  }
}
