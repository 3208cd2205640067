// Films and photographs: chosen, sent one after the other, listed, shown.
import { $, about, ask, element, fail, percent, seconds } from "./common.js";
import { canPlay, pause, send, watch } from "./sending.js";
import { hide, show } from "./results.js";

const { limits } = about;
const KEPT = "tfen-analyses"; // ids of this tab's analyses, so that a page that is loaded anew finds them again
const items = [];
let chosen = [], working = false, recorder = null;

$("limits").textContent = `At most ${limits.megabytes} MB and ${limits.seconds} seconds of film. Results are deleted after ${Math.round(limits.kept_seconds / 60)} minutes.`;
for (const [id, names] of [["weights", about.weights], ["detector", about.detectors]]) {
  $(id).replaceChildren(...names.map((name) => element("option", { value: name, textContent: name })));
  $(id).closest("label").hidden = names.length < 2;
}

function choose(files) {
  chosen = [...files];
  $("start").disabled = !chosen.length;
}
$("file").addEventListener("change", () => choose($("file").files));
for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  $("choose").addEventListener(name, (event) => {
    event.preventDefault();
    $("choose").classList.toggle("over", over);
    if (name === "drop" && event.dataTransfer.files.length) {
      $("file").files = event.dataTransfer.files;
      choose(event.dataTransfer.files);
    }
  });
}
// A value that cannot be is shown where it is, not behind what is folded.
$("choose").addEventListener("invalid", () => { $("choose").querySelector("details").open = true; }, true);
$("choose").addEventListener("submit", (event) => {
  event.preventDefault();
  fail("");
  for (const file of chosen) add(file, file.name);
  work();
});

$("record").addEventListener("click", async () => {
  if (recorder) return recorder.stop();
  fail("");
  try {
    const camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 } });
    const pieces = [];
    recorder = new MediaRecorder(camera, { mimeType: "video/webm" });
    recorder.ondataavailable = (event) => pieces.push(event.data);
    recorder.onstop = () => {
      camera.getTracks().forEach((track) => track.stop());
      recorder = null;
      $("record").textContent = "Record with the camera";
      add(new Blob(pieces, { type: "video/webm" }), "recording.webm");
      work();
    };
    recorder.start();
    $("record").textContent = "Stop recording and analyze";
    setTimeout(() => recorder?.stop(), 1000 * limits.seconds);
  } catch {
    fail("the camera cannot be used; allow it in the browser, or choose a film");
  }
});

// The settings of the form, as the address of a request tells them.
function settings() {
  const of = (id) => $(id).value;
  return {
    annotate: $("annotate").checked, weights: of("weights"), window: of("window"), smoothing: of("smoothing"),
    ...(of("min_confidence") !== "" && { min_confidence: Number(of("min_confidence")) / 100 }), test_time_augmentation: of("test_time_augmentation"), detector: of("detector"),
  };
}

function add(file, name) {
  if (file.size > limits.megabytes * 2 ** 20) return fail(`${name} is larger than ${limits.megabytes} MB`);
  list({ file, name, settings: settings(), state: "listed" });
}

// Give an item its line in the list.
function list(item) {
  item.text = element("span", { className: "note", role: "status" });
  item.bar = element("progress", { max: 1, ariaLabel: `Progress of ${item.name}`, hidden: true });
  item.button = element("button", { type: "button", textContent: "Show", hidden: true, ariaLabel: `Show ${item.name}` });
  item.remove = element("button", { type: "button", textContent: "Cancel", ariaLabel: `Cancel ${item.name}` });
  item.line = element("li", {}, element("strong", { textContent: item.name }), item.text, item.bar, item.button, item.remove);
  item.button.addEventListener("click", () => { show(item); $("title").scrollIntoView({ block: "nearest" }); });
  item.remove.addEventListener("click", () => drop(item));
  items.push(item);
  $("list").append(item.line);
  $("queue").hidden = false;
  tell(item, "Waits to be sent");
}

function tell(item, text, part) {
  item.text.textContent = text;
  item.bar.hidden = part === undefined;
  if (part === null) item.bar.removeAttribute("value");
  else if (part !== undefined) item.bar.value = part;
}

// Cancel what is going on, or delete what is done; the focus goes to the next line.
function drop(item) {
  item.stop?.abort();
  if (item.whole || item.state === "done") ask(`api/jobs/${item.id}`, { method: "DELETE" }).catch(() => {});
  const k = items.indexOf(item);
  items.splice(k, 1);
  item.line.remove();
  hide(item);
  $("queue").hidden = !items.length;
  (items[Math.min(k, items.length - 1)]?.remove ?? $("file")).focus();
  remember();
}

function remember() {
  sessionStorage.setItem(KEPT, JSON.stringify(items.filter((item) => item.id).map(({ id, name }) => ({ id, name }))));
}

async function work() {
  if (working) return;
  working = true;
  for (let item; (item = items.find((one) => one.state === "listed"));) await analyze(item);
  working = false;
}

async function analyze(item) {
  item.state = "under way";
  item.stop = new AbortController();
  const { signal } = item.stop;
  try {
    if (!item.id) {
      if (!item.settings.annotate && item.file.type.startsWith("video/") && !(await canPlay(item.file))) item.settings.annotate = true;
      item.status = await sent(item, signal);
      item.id = item.status.id;
      remember();
    }
    await watch(item.id, (rows) => { item.rows = rows; if (item.open) show(item); }, (state) => progress(item, state), signal);
    await finish(item);
  } catch (error) {
    if (error.name === "AbortError") return;
    item.state = "failed";
    item.id = undefined;
    remember();
    tell(item, error.message);
    item.remove.textContent = "Remove";
    if (item.open) show(item);
    fail(`${item.name}: ${error.message}`);
  }
}

async function sent(item, signal) {
  for (;;) {
    tell(item, "Sending", null);
    try {
      return await send(item.file, { ...item.settings, name: item.name }, (part) => tell(item, `Sending: ${Math.round(100 * part)} %`, part), signal);
    } catch (error) {
      if (!error.again) throw error;
      tell(item, `Others' films wait; it is sent again in about ${error.again} s`);
      await pause(error.again, signal);
    }
  }
}

function progress(item, state) {
  item.status = state;
  const left = state.left === null ? "" : `, about ${Math.max(1, Math.round(state.left))} s left`;
  if (state.state === "waiting") tell(item, `Waits: ${state.place} ${state.place === 1 ? "film comes" : "films come"} before it${left}`, null);
  if (state.state === "working") tell(item, `${seconds(state.reached)} read${state.share ? ` (${percent(state.share)})` : ""}, ${state.count} results${left}`, state.share || null);
  if (state.state === "working" && !item.open && !items.some((one) => one !== item && one.open && one.whole)) open(item);
  if (item.open) show(item);
}

function open(item) {
  for (const one of items) one.open = one === item;
  item.rows ??= [];
  show(item);
}

async function finish(item) {
  item.whole = await ask(`api/jobs/${item.id}/results`);
  item.status = item.whole;
  item.state = "done";
  item.button.hidden = false;
  item.button.addEventListener("click", () => open(item));
  item.remove.textContent = "Delete";
  item.remove.ariaLabel = `Delete ${item.name}`;
  const faces = item.whole.summary.length;
  const found = `${faces || "no"} ${faces === 1 ? "face" : "faces"}, ${item.whole.episodes.length} ${item.whole.episodes.length === 1 ? "episode" : "episodes"}`;
  tell(item, item.status.complete === false ? `Read to ${seconds(item.status.reached)} only: ${found}` : `Done: ${found}`);
  if (item.open || !items.some((one) => one.open)) open(item);
}

// A page that is loaded anew finds its analyses again; their files are not kept.
for (const { id, name } of JSON.parse(sessionStorage.getItem(KEPT) ?? "[]")) {
  const status = await ask(`api/jobs/${id}`).catch(() => null);
  if (status) list({ id, name, status, rows: [], state: "listed", settings: {} });
}
addEventListener("beforeunload", (event) => {
  if (items.some((item) => !item.id && item.state !== "failed")) event.preventDefault(); // what was not sent yet would be lost
});
choose($("file").files); // chosen before this page was ready
$("record").disabled = false;
remember();
work();
