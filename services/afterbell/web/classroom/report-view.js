/** @import {Api} from "../client/api.js" */
/** @import {Progress} from "../client/contract.js" */
/** @import {ReportEvents} from "../client/report.js" */

import { isFinal } from "../client/index.js";
import { byId, say } from "./dom.js";

const READY = "The report is ready.";

/** The report on the page: asked for by those who may, its bar, and the finished paper. */
export class ReportView {
  #says = byId("report-says", HTMLElement);
  #bar = byId("progress", HTMLDivElement);
  #stage = byId("stage", HTMLElement);
  #end = byId("end", HTMLButtonElement);
  #read = byId("read", HTMLButtonElement);
  #frame = byId("page", HTMLIFrameElement);
  #api;
  #mayAsk;
  #session;

  /** @param {{api: Api, session: string, mayAsk: boolean}} given */
  constructor({ api, session, mayAsk }) {
    this.#api = api;
    this.#session = session;
    this.#mayAsk = mayAsk;
    this.#end.hidden = !mayAsk;
    this.#says.textContent = mayAsk ? "Written when you end the lesson." : "Written when the tutor ends the lesson.";
    this.#end.onclick = () => this.#ask();
    this.#read.onclick = () => this.#open();
    const paper = byId("paper", HTMLDialogElement);
    byId("close", HTMLButtonElement).onclick = () => paper.close();
    byId("print", HTMLButtonElement).onclick = () => this.#frame.contentWindow?.print();
    this.#frame.onload = () => this.#dress();
  }

  /** What a ReportFollower is to call. @returns {ReportEvents} */
  get events() {
    return {
      progress: (progress) => this.#show(progress),
      ready: () => {
        say(this.#says, READY);
        this.#read.hidden = false;
      },
      refused: (refused) => say(this.#says, refused.message),
    };
  }

  async #ask() {
    this.#end.disabled = true;
    try {
      const asked = await this.#api.requestReport(this.#session);
      if (asked.status !== "completed") return;
      say(this.#says, "Nothing was said since: the report is up to date.");
      this.#end.disabled = false;
    } catch (error) {
      say(this.#says, error instanceof Error ? error.message : String(error));
      this.#end.disabled = false;
    }
  }

  /** @param {Progress} report */
  #show(report) {
    const failed = report.status === "failed";
    this.#bar.hidden = this.#stage.hidden = false;
    this.#bar.setAttribute("aria-valuenow", String(report.progress));
    this.#bar.classList.toggle("failed", failed);
    /** @type {HTMLElement} */ (this.#bar.firstElementChild).style.width = `${report.progress}%`;
    this.#stage.replaceChildren(stageOf(report), new Text(`${report.progress} %`));
    this.#read.hidden = report.status !== "completed";
    this.#end.hidden = !this.#mayAsk || !isFinal(report);
    this.#end.disabled = false;
    this.#end.textContent = "Write it again";
    say(this.#says, sentenceOf(report));
  }

  async #open() {
    this.#read.disabled = true;
    try {
      // The page's policy allows no style attribute; the report's one drawing, a bar, has its width in one. In what
      // people wrote the quotation mark is escaped, so this matches attributes only.
      this.#frame.srcdoc = (await this.#api.reportPage(this.#session)).replaceAll(' style="', ' data-style="');
      byId("paper", HTMLDialogElement).showModal();
    } catch (error) {
      say(this.#says, error instanceof Error ? error.message : String(error));
    } finally {
      this.#read.disabled = false;
    }
  }

  #dress() {
    for (const part of this.#frame.contentDocument?.querySelectorAll("[data-style]") ?? []) {
      /** @type {HTMLElement} */ (part).style.cssText = part.getAttribute("data-style") ?? "";
    }
  }
}

/** @param {Progress} report */
function stageOf({ stage, attempt }) {
  const span = document.createElement("span");
  span.textContent = [stage, attempt > 1 && `try ${attempt}`].filter(Boolean).join(", ");
  return span;
}

/** @param {Progress} report */
function sentenceOf({ status, position, error }) {
  if (status === "completed") return READY;
  if (status === "failed") return `The report could not be written${error ? `: ${error}` : ""}.`;
  if (status === "active") return "The report is being written.";
  return position && position > 1 ? `Waiting, number ${position} in the queue.` : "Waiting for a free worker.";
}
