// Numbers, times and durations in the reader's language.
// Leaves out words: those are the dictionaries'.

export class Format {
  readonly #number: Intl.NumberFormat;
  readonly #time: Intl.DateTimeFormat;
  readonly #whole: Intl.DateTimeFormat;
  readonly #relative: Intl.RelativeTimeFormat;

  constructor(language: string) {
    this.#number = new Intl.NumberFormat(language, { maximumFractionDigits: 3 });
    this.#time = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
    this.#whole = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
    this.#relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  }

  number = (n: number): string => this.#number.format(n);
  /** With its sign, and a true minus. */
  signed = (n: number): string => (n > 0 ? `+${this.number(n)}` : this.number(n).replace("-", "−"));
  time = (ms: number): string => this.#time.format(ms);
  moment = (ms: number): string => this.#whole.format(ms);

  /** 530 µs, 2.1 ms, 3.4 s, 12 min. */
  duration(us: number): string {
    const tenths = (n: number) => this.number(Math.round(10 * n) / 10);
    if (us < 1000) return `${tenths(us)} µs`;
    if (us < 1e6) return `${tenths(us / 1e3)} ms`;
    if (us < 120e6) return `${tenths(us / 1e6)} s`;
    return `${this.number(Math.round(us / 60e6))} min`;
  }

  /** How long before `now`. */
  ago(then: number, now: number): string {
    const seconds = Math.max(0, Math.round((now - then) / 1000));
    for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]] as const) {
      if (seconds >= size) return this.#relative.format(-Math.floor(seconds / size), unit);
    }
    return this.#relative.format(-seconds, "second");
  }
}
