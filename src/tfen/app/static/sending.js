// One film on its way: sent with progress, watched while it is worked on, cancelled at any moment.
import { ask } from "./common.js";

// Send a file; `onprogress` is told the share that was sent. The signal stops it.
export function send(file, settings, onprogress, signal) {
  const query = new URLSearchParams({ ...settings, attended: true });
  return new Promise((sent, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", `api/jobs?${query}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && onprogress(event.loaded / event.total);
    request.onload = () => {
      if (request.status === 202) return sent(request.response);
      const error = new Error(request.response?.error ?? `the program answered ${request.status}`);
      if (request.status === 429) error.again = Number(request.getResponseHeader("Retry-After") ?? 5);
      failed(error);
    };
    request.onerror = () => failed(new Error("the program does not answer; is it still running?"));
    request.onabort = () => failed(new DOMException("cancelled", "AbortError"));
    signal.throwIfAborted();
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

// Watch a job until it ends: `onrows` is given all rows so far, `onstate` each state. Returns the last state.
export function watch(id, onrows, onstate, signal) {
  return new Promise((ended, failed) => {
    signal.throwIfAborted();
    const stream = new EventSource(`api/jobs/${id}/events`);
    let rows = [];
    const stop = (then) => { stream.close(); then(); };
    stream.onopen = () => { rows = []; }; // after a break all of them come again
    stream.addEventListener("row", (event) => { rows.push(JSON.parse(event.data)); onrows(rows); });
    stream.addEventListener("state", (event) => {
      const state = JSON.parse(event.data);
      onstate(state);
      if (state.state === "done") stop(() => ended(state));
      if (state.state === "failed") stop(() => failed(new Error(state.error)));
    });
    stream.onerror = () => stream.readyState === EventSource.CLOSED && stop(() => failed(new Error("the analysis is gone: it was given up, or the program was restarted")));
    signal.addEventListener("abort", () => stop(() => {
      ask(`api/jobs/${id}`, { method: "DELETE" }).catch(() => {});
      failed(new DOMException("cancelled", "AbortError"));
    }));
  });
}

export function pause(time, signal) {
  return new Promise((over, failed) => {
    signal.throwIfAborted();
    const timer = setTimeout(over, 1000 * time);
    signal.addEventListener("abort", () => { clearTimeout(timer); failed(new DOMException("cancelled", "AbortError")); });
  });
}

// Tell whether this browser can show a film: some play the sound of a film alone (HEVC).
export function canPlay(file) {
  return new Promise((told) => {
    const film = document.createElement("video");
    const end = (good) => { URL.revokeObjectURL(film.src); film.removeAttribute("src"); told(good); };
    film.muted = true;
    film.preload = "metadata";
    film.onloadedmetadata = () => end(film.videoWidth > 0);
    film.onerror = () => end(false);
    setTimeout(() => end(true), 3000);
    film.src = URL.createObjectURL(file);
  });
}
