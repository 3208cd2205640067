// What was found in a film: the film with boxes, the timeline, and the tables.
import { $, about, ask, element, emptyTable, expressions, fail, percent, seconds, share, table } from "./common.js";
import { drawBoxes, legend } from "./boxes.js";
import { Timeline } from "./timeline.js";
import { doubts, isClear, typical, viewOf } from "./trust.js";

const FILES = [
  ["results.xlsx", "Excel"], ["results.csv", "Results"], ["episodes.csv", "Episodes"], ["summary.csv", "Faces"],
  ["results.jsonl", "JSON Lines"], ["elan.eaf", "ELAN"], ["boris.boris", "BORIS"],
];
const HELP = {
  face: "Number of the person in this film, in the order of appearance; or the name that you gave.",
  name: "What the person is called in tables and exports, if you say it.",
  same: "Joins this number with another one: a person who was away may have got two.",
  from: "When the face was first seen.", to: "When it was last seen.",
  mostly: "The most frequent label among the results that can be judged.",
  confidence: "Mean probability of the likeliest expression. How often such figures are right is told above.",
  view: "Typical size of the face, its sharpness, and how far it is turned.",
  judged: "Share of the results in which the face was seen well enough and the label is sure enough.",
  share: "Share of the results that can be judged with this label.",
  results: "How many results there are.", mean: "Mean probability over the results that can be judged.",
  expression: "The label of all results from onset to offset.",
  onset: "When it became the label.", apex: "When its probability was highest.",
  offset: "When its probability fell below four fifths of the likeliest expression's, or the face was gone.",
  lasts: "From onset to offset.", peak: "The probability at the apex.",
  atApex: "How the face was seen at the apex; grey where nothing can be told.",
};

let shown = null;

// item: {id, name, file, status, rows, whole}
export function show(item) {
  if (shown !== null && shown.item !== item) shown.close();
  if (shown === null || shown.item !== item) shown = new View(item);
  shown.update();
}

export function hide(item) {
  if (shown?.item !== item) return;
  shown.close();
  shown = null;
  $("found").hidden = true;
}

class View {
  constructor(item) {
    this.item = item;
    this.time = 0;
    this.drawn = 0;
    this.names = new Map();
    $("found").hidden = false;
    $("title").textContent = item.name;
    $("trust").textContent = about.trust.sentences[item.status.settings.weights];
    legend($("legend"));
    this.still = item.status.kind === "photograph";
    this.stage();
    this.timeline = new Timeline($("timeline"), (time) => this.seek(time), (face) => this.nameOf(face));
    this.timeline.onmark = () => this.averages();
    $("averages").replaceChildren();
    $("after").hidden = true;
    this.frame = () => { this.tick(); this.playing = requestAnimationFrame(this.frame); };
    this.frame();
  }

  close() {
    cancelAnimationFrame(this.playing);
    this.timeline.close();
    if (this.address) URL.revokeObjectURL(this.address);
    $("stage").replaceChildren();
  }

  nameOf(face) {
    return this.names.get(face) ?? `face ${face}`;
  }

  stage() {
    const { file } = this.item;
    this.picture = null;
    this.overlay = element("canvas", { ariaHidden: "true" });
    if (!file) return this.without("The film itself is not kept. Choose it again to watch it with its boxes:");
    this.address = URL.createObjectURL(file);
    this.picture = this.still ? element("img", { src: this.address, alt: `The photograph ${this.item.name}` })
      : element("video", { src: this.address, controls: true, playsInline: true, muted: true, ariaLabel: `The film ${this.item.name}` });
    this.picture.onerror = () => this.fallBack();
    this.picture.onloadedmetadata = () => { if (!this.still && !this.picture.videoWidth) this.fallBack(); };
    $("stage").replaceChildren(this.picture, this.overlay);
  }

  // This browser shows nothing of the film: the annotated one, if there is one, can be shown.
  fallBack() {
    if (this.annotated) return;
    if (!this.item.status.annotated) return this.without(`This browser cannot show the ${this.item.status.kind}; its results are below.`, false);
    if (!this.item.whole) return this.without("This browser cannot show the film; the one with boxes and labels comes when it is done.", false);
    this.annotated = true;
    this.picture = element("video", { src: `api/jobs/${this.item.id}/film.mp4`, controls: true, playsInline: true, muted: true, ariaLabel: `The film ${this.item.name} with boxes and labels` });
    $("stage").replaceChildren(this.picture);
  }

  without(sentence, choose = true) {
    this.picture = null;
    const input = element("input", { type: "file", accept: "video/*,image/*" });
    input.addEventListener("change", () => { this.item.file = input.files[0]; this.stage(); });
    const note = element("p", { className: "missing", textContent: sentence });
    $("stage").replaceChildren(choose ? element("label", { className: "missing" }, sentence, " ", input) : note);
    if (choose && this.item.status.annotated && this.item.whole) this.fallBack();
  }

  seek(time) {
    this.time = time;
    if (this.picture && !this.still) this.picture.currentTime = time;
    this.timeline.moveTo(time);
  }

  tick() {
    if (!this.picture) return;
    if (!this.still) {
      if (!this.picture.seeking) this.time = this.picture.currentTime;
      this.timeline.moveTo(this.time);
    }
    const [width, height] = this.still ? [this.picture.naturalWidth, this.picture.naturalHeight] : [this.picture.videoWidth, this.picture.videoHeight];
    if (width && !this.annotated) drawBoxes(this.overlay, this.at(this.still ? 0 : this.time), width, height, (face) => this.nameOf(face));
  }

  // The rows of a time, boxes half-way between two steps.
  at(time) {
    const found = [];
    for (const face of this.faces?.keys() ?? []) {
      const before = this.timeline.rowAt(face, time);
      if (!before) continue;
      const rows = this.faces.get(face), after = rows[rows.indexOf(before) + 1];
      if (!after || after.time - before.time > 3 * this.step) { found.push(before); continue; }
      const part = (time - before.time) / (after.time - before.time), mixed = { ...(part < 0.5 ? before : after) };
      for (const name of ["left", "top", "width", "height"]) mixed[name] = before[name] + part * (after[name] - before[name]);
      found.push(mixed);
    }
    return found;
  }

  update() {
    const { status, whole } = this.item;
    const late = performance.now() - this.drawn > 400;
    if (!whole && !late && status.state !== "failed") return;
    this.drawn = performance.now();
    const rows = whole?.results ?? this.item.rows;
    this.names = new Map((whole?.summary ?? []).filter((one) => one.name).map((one) => [one.face, one.name]));
    this.faces = new Map();
    for (const row of rows) {
      if (row.face === null) continue;
      if (!this.faces.has(row.face)) this.faces.set(row.face, []);
      this.faces.get(row.face).push(row);
    }
    this.step = status.settings.window / (1 / about.step) || about.step;
    $("timeline").hidden = this.still || !this.faces.size;
    $("hint").hidden = $("timeline").hidden;
    const last = rows.length ? rows[rows.length - 1].time + this.step : 0;
    this.timeline.update(this.faces, Math.max(status.complete === false ? status.reached : status.seconds, last, 0.2), this.step);
    this.notice(status);
    if (!whole) return;
    if (this.picture === null && status.annotated) this.fallBack();
    $("after").hidden = false;
    this.downloads();
    this.people();
    this.episodes();
    this.averages();
  }

  notice(status) {
    const until = `only the first ${seconds(status.reached)}${status.seconds ? ` of ${seconds(status.seconds)}` : ""} were read`;
    const text = status.state === "failed" ? `The analysis failed: ${status.error}. What was found before is shown.`
      : status.complete === false ? `This film was not read to its end: ${until} (${status.reason}).`
      : status.complete === null ? "The film is still being read; the tables come when it is done." : status.reason;
    $("notice").textContent = text;
    $("notice").hidden = !text;
    $("notice").classList.toggle("warn", status.complete !== null || status.state === "failed");
  }

  downloads() {
    const files = [...FILES.filter(([name]) => !(this.still && name === "elan.eaf")), ...(this.item.status.annotated ? [["film.mp4", "Film with boxes"]] : [])];
    $("downloads").replaceChildren(...files.map(([name, text]) =>
      element("a", { className: "button", href: `api/jobs/${this.item.id}/${name}`, download: "", textContent: text, title: name })));
  }

  jump(time) {
    if (this.still) return "–";
    const button = element("button", { type: "button", textContent: seconds(time), ariaLabel: `Go to ${seconds(time)}` });
    button.addEventListener("click", () => this.seek(time));
    return button;
  }

  people() {
    const { summary } = this.item.whole;
    $("naming").hidden = this.still || !summary.length;
    if (!summary.length) return emptyTable($("people"), this.item.status.complete === false ? "No face was seen in what could be read." : "No face was seen.");
    const columns = [
      { text: "Face", help: HELP.face }, { text: "Name", left: true, help: HELP.name }, { text: "Same person as", left: true, help: HELP.same }, { text: "From", help: HELP.from },
      { text: "To", help: HELP.to }, { text: "Mostly", left: true, help: HELP.mostly }, { text: "Confidence", help: HELP.confidence },
      { text: "View", left: true, help: HELP.view }, { text: "Judged", help: HELP.judged },
      ...expressions.map((name) => ({ text: name, help: HELP.share })),
    ];
    const faint = [];
    const rows = summary.map((one, k) => {
      const own = this.faces.get(one.face), clear = own.filter(isClear), view = typical(own);
      faint[k] = clear.length < own.length / 2;
      const name = element("input", { type: "text", value: one.name ?? "", maxLength: 60, size: 10, ariaLabel: `Name of face ${one.face}` });
      const same = element("select", { ariaLabel: `Face ${one.face} is the same person as` }, element("option", { value: "", textContent: "–" }),
        ...summary.filter((other) => other.face !== one.face).map((other) => element("option", { value: other.face, textContent: this.nameOf(other.face) })));
      name.dataset.face = same.dataset.face = one.face;
      const counts = Object.fromEntries(expressions.map((each) => [each, clear.filter((row) => row.label === each).length / (clear.length || 1)]));
      const mostly = clear.length ? expressions.reduce((a, b) => (counts[b] > counts[a] ? b : a)) : "cannot be judged";
      const why = doubts(view);
      return [
        `${one.face}`, name, same, this.jump(one.first), this.jump(one.last), mostly, clear.length ? percent(one.confidence) : "–",
        viewOf(view) + (why.length ? `: ${why.join(", ")}` : ""), share(clear.length / own.length),
        ...expressions.map((each) => (clear.length ? share(counts[each]) : "–")),
      ];
    });
    table($("people"), columns, rows, (k) => faint[k]);
  }

  episodes() {
    const { episodes, summary } = this.item.whole;
    $("count").textContent = episodes.length ? ` (${episodes.length})` : "";
    if (!episodes.length) {
      const part = this.item.status.complete === false ? " in the part that was read" : "";
      return emptyTable($("episodes"), !summary.length ? `No face was seen${part}, so nothing can be said about expressions.`
        : this.still ? "A photograph has no episodes."
        : ![...this.faces.values()].flat().some(isClear) ? `No face was seen well enough, or no label was sure enough${part}, so nothing can be said about expressions.` : `No expression but neutral was the label for two results in a row${part}.`);
    }
    const views = episodes.map((one) => this.timeline.rowAt(one.face, one.apex));
    table($("episodes"), [
      { text: "Face", left: true, help: HELP.face }, { text: "Expression", left: true, help: HELP.expression }, { text: "Onset", help: HELP.onset }, { text: "Apex", help: HELP.apex },
      { text: "Offset", help: HELP.offset }, { text: "Lasts", help: HELP.lasts }, { text: "Peak", help: HELP.peak }, { text: "View at the apex", left: true, help: HELP.atApex },
    ], episodes.map((one, k) => [
      this.nameOf(one.face), one.expression, this.jump(one.onset), this.jump(one.apex), this.jump(one.offset), seconds(one.duration), percent(one.peak),
      views[k] ? viewOf(views[k]) + (doubts(views[k]).length ? `: ${doubts(views[k]).join(", ")}` : "") : "",
    ]), (k) => views[k] && doubts(views[k]).length > 0);
  }

  averages() {
    const { mark } = this.timeline, where = $("averages");
    if (!mark) return where.replaceChildren();
    const own = element("table");
    const columns = [{ text: "Face", left: true, help: HELP.face }, { text: "Results", help: HELP.results }, { text: "Judged", help: HELP.judged },
      { text: "View", left: true, help: HELP.view }, ...expressions.map((name) => ({ text: name, help: HELP.mean }))];
    const rows = [...this.faces].map(([face, all]) => [face, all.filter((row) => row.time >= mark[0] && row.time <= mark[1])]).filter(([, part]) => part.length);
    table(own, columns, rows.map(([face, part]) => {
      const clear = part.filter(isClear);
      return [this.nameOf(face), `${part.length}`, share(clear.length / part.length), viewOf(typical(part)),
        ...expressions.map((name) => (clear.length ? percent(clear.reduce((sum, row) => sum + row[name], 0) / clear.length) : "–"))];
    }));
    if (!rows.length) emptyTable(own, "No face was seen in this stretch.");
    where.replaceChildren(element("h3", { textContent: `Averages from ${seconds(mark[0])} to ${seconds(mark[1])}` }),
      element("div", { className: "panel scroll", tabIndex: 0, role: "region", ariaLabel: "Averages" }, own));
  }

  // What the form says about people, to the server, which tells everything anew.
  async tell(people) {
    this.item.whole = await ask(`api/jobs/${this.item.id}/people`, {
      method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ people }),
    });
    fail("");
    this.update();
  }

  apply() {
    const told = new Map(this.item.whole.people.map((one) => [one.face, { ...one }]));
    for (const field of $("people").querySelectorAll("input, select")) {
      const face = Number(field.dataset.face), one = told.get(face) ?? { face };
      if (field.tagName === "INPUT") one.name = field.value.trim();
      else if (field.value !== "") one.same_as = Number(field.value);
      told.set(face, one);
    }
    return this.tell([...told.values()].filter((one) => one.name || one.same_as !== undefined));
  }
}

// One at a time: what is told anew stands for all that was told before.
let telling = false;
async function once(tell) {
  if (telling) return;
  telling = true;
  await tell().catch((error) => fail(error.message));
  telling = false;
}
$("apply").addEventListener("click", () => once(() => shown.apply()));
$("undo").addEventListener("click", () => once(() => shown.tell([])));
const described = (texts) => Object.entries(texts).flatMap(([name, text]) => [element("dt", { textContent: name }), element("dd", { textContent: text })]);
const COLUMNS = {
  Face: HELP.face, Name: HELP.name, "Same person as": HELP.same, From: HELP.from, To: HELP.to, Mostly: HELP.mostly, Confidence: HELP.confidence,
  View: HELP.view, Judged: HELP.judged, "An expression": `Faces: ${HELP.share} Averages: ${HELP.mean}`, Results: HELP.results, Expression: HELP.expression,
  Onset: HELP.onset, Apex: HELP.apex, Offset: HELP.offset, Lasts: HELP.lasts, Peak: HELP.peak, "View at the apex": HELP.atApex,
};
$("helps").replaceChildren(...described(COLUMNS));
$("columns").replaceChildren(...described(about.columns));
