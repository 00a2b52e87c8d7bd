// Reads server-sent events from text that comes in pieces.
// Leaves out the connection: `EventSource` cannot send a token, so `api` reads the stream with fetch.

export interface ServerEvent {
  event: string;
  data: string;
}

/** Takes pieces of text and gives the events that are complete. */
export class SseParser {
  #rest = "";
  #event = "message";
  #data: string[] = [];

  push(piece: string): ServerEvent[] {
    const lines = (this.#rest + piece).split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.#line(line.replace(/\r$/, "")));
  }

  #line(line: string): ServerEvent[] {
    if (line === "") {
      const complete = this.#data.length > 0 ? [{ event: this.#event, data: this.#data.join("\n") }] : [];
      this.#event = "message";
      this.#data = [];
      return complete;
    }
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === "event") this.#event = value ?? "";
    if (field === "data") this.#data.push(value ?? "");
    return []; // comments keep the connection alive; ids and retry times are not used
  }
}
