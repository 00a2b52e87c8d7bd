// The page's words in the reader's language, and which language that is.
// Leaves out the words (`words/`) and what the scheduler says itself, which is English everywhere.

import { Format } from "./format.js";
import { en } from "./words/en.js";
import { ko } from "./words/ko.js";

export const LANGUAGES = { en: "English", ko: "한국어" } as const;
export type Language = keyof typeof LANGUAGES;
export type Key = keyof typeof en;

const WORDS: Record<Language, Record<Key, string>> = { en, ko };
const isLanguage = (text: string): text is Language => text in LANGUAGES;

/** The one chosen before, else the first that the browser asks for and the page has, else English. */
export function choose(chosen: string | null, preferred: readonly string[]): Language {
  const wanted = [chosen ?? "", ...preferred].map((tag) => tag.toLowerCase().split("-")[0] ?? "");
  return wanted.find(isLanguage) ?? "en";
}

export class Words {
  readonly format: Format;

  constructor(readonly language: Language) {
    this.format = new Format(language);
  }

  /** The words of `key`, with values in place of `{name}`; numbers in the reader's way. */
  t = (key: Key, values: Record<string, string | number> = {}): string =>
    WORDS[this.language][key].replace(/\{(\w+)\}/g, (whole, name: string) => {
      const value = values[name];
      return typeof value === "number" ? this.format.number(value) : (value ?? whole);
    });

  /** The words of a name that the scheduler gives, where the page has words for it; else the name. */
  named = (group: string, name: string): string => {
    const key = `${group}.${name}`;
    return key in en ? this.t(key as Key) : name;
  };
}
