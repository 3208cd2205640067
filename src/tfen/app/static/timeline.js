// Probabilities over time, a line for each face: by colour and letters, with zoom, tooltips and keys.
import { about, attributes, element, expressions, percent, seconds } from "./common.js";
import { UNCLEAR } from "./boxes.js";
import { isClear, verdict, viewOf } from "./trust.js";

const STRIP = 20, PLOT = 44; // pixels: labels with letters, and probabilities
const SHOWN = 8; // faces that are shown at first

export class Timeline {
  // where: the element; seek(time): moves the film; nameOf(face): what a face is called.
  constructor(where, seek, nameOf) {
    Object.assign(this, { where, seek, nameOf, faces: new Map(), end: 1, from: 0, to: 1, now: 0, step: about.step, mark: null, all: false });
    this.onmark = () => {};
    this.lines = new Map();
    this.tip = element("div", { className: "tip", hidden: true });
    this.rows = element("div", { className: "lines" });
    this.more = element("button", { type: "button", hidden: true });
    this.more.addEventListener("click", () => { this.all = !this.all; this.draw(); });
    where.replaceChildren(this.toolbar(), this.rows, this.more, this.tip);
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(where);
  }

  close() {
    this.resized.disconnect();
  }

  toolbar() {
    const button = (text, label, action) => {
      const made = attributes(element("button", { type: "button", textContent: text }), { "aria-label": label, title: label });
      made.addEventListener("click", action);
      return made;
    };
    this.scroll = attributes(element("input", { type: "range", min: 0, max: 1000, value: 0 }), { "aria-label": "Part of the film that is shown" });
    this.scroll.addEventListener("input", () => {
      const length = this.to - this.from;
      this.show(this.scroll.value / 1000 * (this.end - length), length);
    });
    this.shown = element("span", { className: "note" });
    return element("div", { className: "row tools" },
      button("+", "Show a shorter part", () => this.zoom(0.5)), button("−", "Show a longer part", () => this.zoom(2)),
      button("All", "Show the whole film", () => this.show(0, this.end)), this.scroll, this.shown,
      button("Mark from here", "Begin of a stretch for averages", () => this.markAt(0)),
      button("to here", "End of the stretch", () => this.markAt(1)),
      button("Clear mark", "Forget the stretch", () => this.setMark(null)));
  }

  // faces: rows by number; end: seconds of the film; step: seconds between two rows.
  update(faces, end, step) {
    const whole = this.from === 0 && this.to === this.end;
    Object.assign(this, { faces, end, step });
    if (whole || this.to > end) [this.from, this.to] = [0, end];
    this.draw();
  }

  show(from, length) {
    length = Math.max(Math.min(length, this.end), Math.min(this.end, 10 * this.step));
    this.from = Math.max(0, Math.min(from, this.end - length));
    this.to = this.from + length;
    this.draw();
  }

  zoom(factor) {
    const length = (this.to - this.from) * factor;
    this.show(Math.max(this.from, Math.min(this.now, this.to)) - length / 2, length);
  }

  markAt(side) {
    const mark = this.mark ?? (side ? [0, this.end] : [this.now, this.end]);
    mark[side] = this.now;
    this.setMark(mark[0] <= mark[1] ? mark : [mark[1], mark[0]]);
  }

  setMark(mark) {
    this.mark = mark;
    this.place();
    this.onmark(mark);
  }

  moveTo(time) {
    if (Math.abs(time - this.now) < 1e-3) return;
    this.now = time;
    if (time > this.to || time < this.from) this.show(time - 0.1 * (this.to - this.from), this.to - this.from);
    else this.place();
  }

  draw() {
    const longest = [...this.faces].sort((a, b) => b[1].length - a[1].length);
    const shown = (this.all ? longest : longest.slice(0, SHOWN)).sort((a, b) => a[0] - b[0]);
    this.more.hidden = longest.length <= SHOWN;
    this.more.textContent = this.all ? `Show the ${SHOWN} faces seen longest` : `Show all ${longest.length} faces`;
    const keep = new Set(shown.map(([face]) => face));
    for (const [face, line] of this.lines) if (!keep.has(face)) { line.remove(); this.lines.delete(face); }
    for (const [k, [face, rows]] of shown.entries()) {
      if (!this.lines.has(face)) this.lines.set(face, this.line(face));
      // lines keep their order, so a new one comes between them and none is moved: the focus stays
      if (this.rows.children[k] !== this.lines.get(face)) this.rows.insertBefore(this.lines.get(face), this.rows.children[k] ?? null);
      this.lines.get(face).firstChild.textContent = this.nameOf(face);
      this.paint(this.lines.get(face).querySelector("canvas"), rows);
    }
    const length = this.to - this.from;
    this.scroll.disabled = length >= this.end - 1e-6;
    if (document.activeElement !== this.scroll) this.scroll.value = this.scroll.disabled ? 0 : 1000 * this.from / (this.end - length);
    this.shown.textContent = `${seconds(this.from)} to ${seconds(this.to)}`;
    this.place();
  }

  line(face) {
    const slider = attributes(element("div", { className: "track", tabIndex: 0 }), { role: "slider", "aria-valuemin": 0 });
    slider.append(element("canvas"), element("div", { className: "marked", hidden: true }), element("div", { className: "cursor" }));
    slider.face = face;
    let marking = null;
    slider.addEventListener("pointerdown", (event) => {
      slider.setPointerCapture(event.pointerId);
      marking = event.shiftKey ? this.timeAt(slider, event) : null;
      if (marking === null) this.seek(this.timeAt(slider, event));
    });
    slider.addEventListener("pointermove", (event) => {
      const time = this.timeAt(slider, event);
      this.showTip(slider, event, time);
      if (!event.buttons) return;
      if (marking === null) this.seek(time);
      else this.setMark([Math.min(marking, time), Math.max(marking, time)]);
    });
    slider.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    slider.addEventListener("keydown", (event) => this.key(event));
    return element("div", { className: "line" }, element("span", { className: "name" }), slider);
  }

  key(event) {
    const move = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (event.key === "Home") this.seek(0);
    else if (event.key === "End") this.seek(this.end);
    else if (event.key === "+") this.zoom(0.5);
    else if (event.key === "-") this.zoom(2);
    else if (event.key === "[") this.markAt(0);
    else if (event.key === "]") this.markAt(1);
    else if (move) this.seek(Math.max(0, Math.min(this.end, this.now + move)));
    else return;
    event.preventDefault();
  }

  timeAt(slider, event) {
    const box = slider.getBoundingClientRect();
    return Math.max(0, Math.min(this.end, this.from + (event.clientX - box.left) / box.width * (this.to - this.from)));
  }

  // The row that holds at a time, or undefined.
  rowAt(face, time) {
    const rows = this.faces.get(face) ?? [];
    let low = 0, high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].time <= time + 1e-6) low = middle + 1;
      else high = middle;
    }
    const row = rows[low - 1];
    return row && time - row.time < 1.5 * this.step ? row : undefined;
  }

  words(face, time) {
    const row = this.rowAt(face, time);
    if (!row) return `${seconds(time)}: not seen`;
    const others = expressions.filter((name) => name !== row.label && row[name] >= 0.1).sort((a, b) => row[b] - row[a]);
    const rest = others.map((name) => `${name} ${percent(row[name])}`).join(", ");
    return `${seconds(time)}: ${verdict(row, percent)}${rest && isClear(row) ? `, ${rest}` : ""} (${viewOf(row)})`;
  }

  showTip(slider, event, time) {
    this.tip.hidden = false;
    this.tip.textContent = `${this.nameOf(slider.face)}, ${this.words(slider.face, time)}`;
    const box = this.where.getBoundingClientRect(), line = slider.getBoundingClientRect();
    this.tip.style.left = `${Math.max(0, Math.min(event.clientX - box.left, box.width - this.tip.offsetWidth))}px`;
    this.tip.style.top = `${line.top - box.top - this.tip.offsetHeight - 4}px`;
  }

  place() {
    const at = (time) => 100 * (time - this.from) / (this.to - this.from);
    for (const [face, line] of this.lines) {
      const [, slider] = line.children, [, marked, cursor] = slider.children;
      cursor.style.left = `${at(this.now)}%`;
      cursor.hidden = this.now < this.from || this.now > this.to;
      marked.hidden = !this.mark;
      if (this.mark) {
        const [begin, end] = this.mark.map((time) => Math.max(0, Math.min(100, at(time))));
        marked.style.left = `${begin}%`;
        marked.style.width = `${end - begin}%`;
      }
      attributes(slider, {
        "aria-label": `${this.nameOf(face)} over time`, "aria-valuemax": this.end.toFixed(1),
        "aria-valuenow": Math.min(this.now, this.end).toFixed(1), "aria-valuetext": this.words(face, this.now),
      });
    }
  }

  paint(canvas, rows) {
    const ratio = devicePixelRatio || 1, width = Math.round(canvas.clientWidth * ratio), height = Math.round((STRIP + PLOT) * ratio);
    if (!width) return;
    [canvas.width, canvas.height] = [width, height];
    const pen = canvas.getContext("2d"), strip = Math.round(STRIP * ratio), scale = width / (this.to - this.from);
    const hatch = hatched(pen, ratio);
    let run = null;
    const finish = () => { if (run) this.paintRun(pen, run, strip, ratio, hatch); run = null; };
    rows.forEach((row, k) => {
      const until = Math.min(rows[k + 1]?.time ?? Infinity, row.time + 1.5 * this.step, row.time + (k + 1 < rows.length ? Infinity : this.step));
      const x = Math.max(0, Math.round((row.time - this.from) * scale)), right = Math.min(width, Math.round((until - this.from) * scale));
      if (right <= 0 || x >= width) return;
      const kind = isClear(row) ? row.label : "";
      if (run && (run.kind !== kind || run.right < x)) finish();
      if (run) run.right = right;
      else run = { kind, x, right };
      if (right <= x) return;
      if (!kind) {
        pen.fillStyle = hatch;
        pen.fillRect(x, strip, right - x, height - strip);
        return;
      }
      let sum = 0, below = height;
      expressions.forEach((name, n) => { // edges on whole pixels, the last one on the upper edge: no gaps between
        sum += row[name];
        const edge = n === expressions.length - 1 ? strip : Math.round(height - Math.min(1, sum) * (height - strip));
        pen.fillStyle = about.expressions[name].colour;
        pen.fillRect(x, edge, right - x, below - edge);
        below = edge;
      });
    });
    finish();
  }

  // A stretch with one label: its colour, its letters or its name.
  paintRun(pen, { kind, x, right }, strip, ratio, hatch) {
    const width = Math.max(1, right - x);
    pen.fillStyle = kind ? about.expressions[kind].colour : hatch;
    pen.fillRect(x, 0, width, strip - ratio);
    pen.font = `600 ${12 * ratio}px system-ui, sans-serif`;
    const words = (kind ? [kind, about.expressions[kind].letters] : ["?"]).find((text) => pen.measureText(text).width + 4 * ratio <= width);
    if (!words) return;
    pen.fillStyle = kind ? about.expressions[kind].ink : "#10151b";
    pen.fillText(words, x + 2 * ratio, strip - 6 * ratio);
  }
}

function hatched(pen, ratio) {
  const tile = element("canvas", { width: 8 * ratio, height: 8 * ratio }), inner = tile.getContext("2d");
  inner.scale(ratio, ratio);
  inner.fillStyle = "#b9bdc3";
  inner.fillRect(0, 0, 8, 8);
  inner.strokeStyle = UNCLEAR;
  inner.lineWidth = 2;
  for (const shift of [-8, 0, 8]) {
    inner.beginPath();
    inner.moveTo(shift, 8);
    inner.lineTo(shift + 8, 0);
    inner.stroke();
  }
  return pen.createPattern(tile, "repeat");
}
