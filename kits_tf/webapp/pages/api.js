// Requests to the server: what it refuses is thrown as an Error whose message is for the user.
async function ask(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(path, { method, body, headers });
  } catch {
    throw new Error("The server does not answer.");
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Error(answer.error ?? `The server failed at this (${response.status}).`);
}

const json = async (...request) => (await ask(...request)).json();
const of = key => `/api/scans/${encodeURIComponent(key)}`;

export const about = () => json("GET", "/api/about");
export const example = () => json("POST", "/api/example");
export const scans = async () => (await json("GET", "/api/scans")).scans;
export const add = name => json("POST", "/api/scans", JSON.stringify({ name }));
export const start = (key, series = "") => json("POST", `${of(key)}/start`, JSON.stringify({ series }));
export const accept = key => json("POST", `${of(key)}/start`, JSON.stringify({ accept_intensities: "true" }));
export const remove = key => json("DELETE", of(key));
export const findings = async key => (await json("GET", of(key))).findings;
export const correct = async (key, mask) => (await json("PUT", `${of(key)}/mask`, mask)).findings;
export const signIn = token => json("POST", "/sign-in", JSON.stringify({ token }));
export const address = (key, name) => `${of(key)}/${name}`;
export const sendReference = (key, file) => json("PUT", `${of(key)}/reference?name=${encodeURIComponent(file.name)}`, file);
export const bytes = async (key, name) => (await ask("GET", address(key, name))).arrayBuffer();

// fetch does not report how much was sent; the older interface does.
export function upload(key, number, file, report, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", `${of(key)}/files/${number}?name=${encodeURIComponent(file.name)}`);
    request.upload.addEventListener("progress", event => report(event.loaded));
    request.addEventListener("load", () => {
      if (request.status < 300) return resolve();
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* not ours: the status must do */ }
      reject(new Error(answer.error ?? `The server failed at this (${request.status}).`));
    });
    request.addEventListener("error", () => reject(new Error("The upload was cut off.")));
    request.addEventListener("abort", () => reject(new Error("The upload was cancelled.")));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

// Lets the browser save a file; what the server refuses is thrown rather than saved.
export async function download(key, name) {
  const response = await ask("GET", address(key, name));
  const saved = decodeURIComponent(response.headers.get("content-disposition").split("''")[1]);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = saved;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
