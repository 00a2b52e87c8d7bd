// The page: which view is shown, how it is kept up to date, and what is said when the scheduler does not answer.
// Leaves out what each view shows.

import { html, nothing, render, type TemplateResult } from "lit-html";
import { Api, ApiError } from "./api.js";
import { choose, LANGUAGES, Words, type Language } from "./i18n.js";
import { parseRoute, podHref, podTyped, type Route } from "./route.js";
import type { Line } from "./types.js";
import { Copyable, said, type Context, type View } from "./view.js";
import { ConfigView } from "./views/config.js";
import { Overview } from "./views/overview.js";
import { Pod } from "./views/pod.js";
import { Queue } from "./views/queue.js";
import { WeightsView } from "./views/weights.js";

const TOKEN = "token";
const LANGUAGE = "language";
/** Decisions come in bursts: one load answers all of a moment. */
const SOON_MS = 500;
/** Pauses between attempts to reach a scheduler that is gone. */
const RETRY_MS = { first: 1000, most: 30_000 };
const NAVIGATION = ["overview", "queue", "weights", "config"] as const;

const MAKE_TOKEN = `kubectl create serviceaccount page -n keti
kubectl create clusterrolebinding page --clusterrole=ai-storage-scheduler-viewer --serviceaccount=keti:page
kubectl create token page -n keti`;

class Page implements Context {
  words = new Words(choose(localStorage.getItem(LANGUAGE), navigator.languages));
  readonly #credentials = { token: sessionStorage.getItem(TOKEN) };
  readonly api = new Api(this.#credentials);
  #route: Route = parseRoute(location.hash);
  #view: View = this.#make(this.#route);
  #problem: ApiError | null = null;
  #open = new AbortController();
  #timer = 0;
  #live = false;
  #follows = new AbortController();
  readonly #command = new Copyable(this);

  start(): void {
    addEventListener("hashchange", () => {
      this.#show(parseRoute(location.hash));
      document.querySelector<HTMLElement>("h1")?.focus();
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#loadIn(0);
    });
    this.#show(this.#route);
    void this.#follow();
  }

  update(): void {
    document.documentElement.lang = this.words.language;
    document.title = `${this.#view.title()} – ${this.words.t("app.title")}`;
    render(this.#render(), document.body);
  }

  #make(route: Route): View {
    switch (route.view) {
      case "overview":
        return new Overview(this);
      case "queue":
        return new Queue(this);
      case "pod":
        return new Pod(this, route.namespace, route.name);
      case "weights":
        return new WeightsView(this);
      case "config":
        return new ConfigView(this);
    }
  }

  #show(route: Route): void {
    this.#open.abort();
    this.#open = new AbortController();
    [this.#route, this.#view, this.#problem] = [route, this.#make(route), null];
    this.update();
    this.#loadIn(0);
  }

  #loadIn(ms: number): void {
    clearTimeout(this.#timer);
    const { signal } = this.#open;
    this.#timer = setTimeout(() => void this.#load(signal), ms);
  }

  async #load(signal: AbortSignal): Promise<void> {
    if (document.hidden) return; // seen again, it is loaded again
    try {
      await this.#view.load(signal);
      if (signal.aborted) return;
      this.#problem = null;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.#problem = error;
    }
    this.update();
    if (!this.#wantsToken()) this.#loadIn(this.#view.refreshMs);
  }

  /** Listens to the stream of decisions, again and again: the scheduler ends every connection after a while. */
  async #follow(): Promise<void> {
    const { signal } = (this.#follows = new AbortController());
    for (let pause = RETRY_MS.first; !signal.aborted; pause = Math.min(2 * pause, RETRY_MS.most)) {
      const opened = () => {
        pause = RETRY_MS.first / 2;
        this.#setLive(true);
      };
      await this.api.follow(signal, opened, (line) => this.#decided(line)).catch(() => undefined);
      this.#setLive(false);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  #setLive(live: boolean): void {
    this.#live = live;
    this.update();
  }

  #decided(line: Line): void {
    if (this.#view.decided?.(line)) this.#loadIn(SOON_MS);
    this.update();
  }

  /** Also for somebody without a token, who is nobody rather than unknown. */
  #wantsToken(): boolean {
    return this.#problem?.status === 401 || this.#problem?.status === 403;
  }

  #setToken(token: string | null): void {
    this.#credentials.token = token;
    if (token === null) sessionStorage.removeItem(TOKEN);
    else sessionStorage.setItem(TOKEN, token);
    this.#follows.abort();
    void this.#follow();
    this.#show(this.#route);
  }

  #setLanguage(language: Language): void {
    localStorage.setItem(LANGUAGE, language);
    this.words = new Words(language);
    this.update();
  }

  #render(): TemplateResult {
    const { t } = this.words;
    return html`
      <a class="skip" href="#main" @click=${this.#skip}>${t("app.skip")}</a>
      <header>
        <p class="name"><a href="#/">${t("app.title")}</a></p>
        <nav aria-label=${t("app.views")}>
          <ul>${NAVIGATION.map((view) => html`<li><a href="#/${view}" aria-current=${this.#route.view === view ? "page" : nothing}>${t(`view.${view}`)}</a></li>`)}</ul>
        </nav>
        <form class="find" role="search" @submit=${this.#find}>
          <input name="pod" type="search" aria-label=${t("app.find")} placeholder=${t("app.findHint")} autocomplete="off" autocapitalize="off" spellcheck="false" />
          <button>${t("app.show")}</button>
        </form>
        <div class="corner">
          <span class=${this.#live ? "live" : "live off"}>${t(this.#live ? "app.live" : "app.connecting")}</span>
          <select aria-label=${t("app.language")} @change=${(e: Event) => this.#setLanguage((e.currentTarget as HTMLSelectElement).value as Language)}>
            ${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code} lang=${code} ?selected=${code === this.words.language}>${name}</option>`)}
          </select>
          ${this.#credentials.token === null ? nothing : html`<button class="quiet" @click=${() => this.#setToken(null)}>${t("app.forget")}</button>`}
        </div>
      </header>
      <main id="main">
        <h1 tabindex="-1">${this.#view.title()}</h1>
        ${this.#wantsToken() ? this.#tokenForm() : html`${this.#trouble()}${this.#problem?.status === 421 ? nothing : this.#view.render()}`}
      </main>
    `;
  }

  readonly #skip = (event: Event): void => {
    event.preventDefault(); // the part after # is the view's
    document.querySelector<HTMLElement>("h1")?.focus();
  };

  readonly #find = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const pod = podTyped(String(new FormData(form).get("pod")));
    if (pod === null) return;
    form.reset();
    location.hash = podHref(pod);
  };

  #tokenForm(): TemplateResult {
    const { t } = this.words;
    const use = (event: SubmitEvent) => {
      event.preventDefault();
      const token = String(new FormData(event.currentTarget as HTMLFormElement).get("token")).trim();
      if (token !== "") this.#setToken(token);
    };
    return html`<section class="card">
      <h2>${t("token.title")}</h2>
      <p>${t("token.why")}</p>
      ${this.#credentials.token === null ? nothing : html`<p class="refused" role="alert">${t("token.refused")} ${said(this.#problem?.message ?? "")}</p>`}
      <form class="token" @submit=${use}>
        <label for="token">${t("token.label")}</label>
        <input id="token" name="token" type="password" autocomplete="off" required />
        <button>${t("token.use")}</button>
      </form>
      <p>${t("token.how")}</p>
      ${this.#command.render(MAKE_TOKEN)}
    </section>`;
  }

  #trouble(): TemplateResult | typeof nothing {
    const { t } = this.words;
    const problem = this.#problem;
    if (!problem) return nothing;
    if (problem.leader !== null) {
      const pod = problem.leader.split("_")[0];
      return html`<section class="card" role="alert">
        <h2>${t("problem.elsewhere")}</h2>
        <p>${t("problem.elsewhereWhy", { leader: problem.leader })}</p>
        ${this.#command.render(`kubectl port-forward -n keti pod/${pod} 10259`)}
      </section>`;
    }
    return html`<section class="card" role="alert">
      <h2>${t("problem.title")}</h2>
      <p>${problem.status === 0 ? t("problem.unreachable") : said(problem.message)}</p>
      <p>${t("problem.retrying")} <button class="quiet" @click=${() => this.#loadIn(0)}>${t("problem.retry")}</button></p>
    </section>`;
  }
}

new Page().start();
