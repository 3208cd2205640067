// The camera, now: pictures go out, boxes and bars come back.
import { $, about, drawBoxes, element, expressions, fail, percent } from "./common.js";

const RATE = 12; // pictures in a second
const video = $("video"), small = element("canvas"), sent = new Map();
let socket = null, timer = 0, rows = [], camera = null;

const bars = new Map(expressions.map((name) => {
  const inner = element("div"), number = element("span", { textContent: "" });
  inner.style.background = about.expressions[name];
  $("bars").append(element("span", { textContent: name }), element("div", { className: "bar" }, inner), number);
  return [name, [inner, number]];
}));

$("start").addEventListener("click", async () => {
  $("failed").hidden = true;
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 } });
  } catch {
    return fail("the camera cannot be used; allow it in the browser, or choose a film");
  }
  video.srcObject = camera;
  await video.play();
  $("stage").hidden = $("told").hidden = false;
  $("start").disabled = true;
  $("stop").disabled = false;
  $("state").textContent = "Connecting";
  socket = new WebSocket(new URL("api/live", location.href).href.replace(/^http/, "ws"));
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { $("state").textContent = "Looking"; timer = setInterval(send, 1000 / RATE); };
  socket.onmessage = (event) => { rows = JSON.parse(event.data).rows; told(); };
  socket.onclose = (event) => { if (socket) { stop(); fail(event.reason || "the connection to the program broke off"); } };
  draw();
});
$("start").disabled = false;
$("stop").addEventListener("click", stop);

function stop() {
  clearInterval(timer);
  const open = socket;
  socket = null;
  open?.close();
  camera?.getTracks().forEach((track) => track.stop());
  rows = [];
  $("stage").hidden = true;
  $("start").disabled = false;
  $("stop").disabled = true;
  $("state").textContent = "Stopped";
}

function send() {
  if (!socket || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > 200000) return;
  small.width = 480;
  small.height = Math.round(480 * video.videoHeight / video.videoWidth) || 270;
  small.getContext("2d").drawImage(video, 0, 0, small.width, small.height);
  const time = performance.now() / 1000;
  small.toBlob(async (blob) => {
    if (!blob || !socket) return;
    const head = new DataView(new ArrayBuffer(8));
    head.setFloat64(0, time);
    socket.send(new Blob([head.buffer, blob]));
  }, "image/jpeg", 0.8);
}

function told() {
  const seen = rows.filter((row) => row.face !== null).sort((a, b) => b.width - a.width)[0];
  $("label").textContent = seen ? `${seen.label ?? "not sure"}` : "nobody";
  if (!seen) return;
  for (const [name, [inner, number]] of bars) {
    inner.style.width = `${100 * seen[name]}%`;
    number.textContent = percent(seen[name]);
  }
  const delay = performance.now() / 1000 - seen.time;
  $("delay").textContent = `Shown ${delay.toFixed(1)} s after the picture was taken.`;
  $("delay").dataset.seconds = delay;
}

function draw() {
  if (!socket) return;
  drawBoxes($("overlay"), rows.filter((row) => row.face !== null), small.width || 480, small.height || 270);
  requestAnimationFrame(draw);
}
