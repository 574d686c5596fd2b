// One request to this server → its answer; asks for a token, and waits where the server is busy.

const KEY = "clipsim-token";
let token = sessionStorage.getItem(KEY) ?? "";
let tokenGiven = null; // what requests wait for while the server's token is not known

/** What a server says about a request that it does not answer. */
export class RequestError extends Error {
  /** `status` is 0 where there was no answer; `index` is the place of the image that is to blame, if one is. */
  constructor(status, message, index = null) {
    super(message);
    this.status = status;
    this.index = index;
  }
}

/** Use this token from now on, for as long as the tab is open. */
export function setToken(given) {
  token = given;
  sessionStorage.setItem(KEY, given);
  tokenGiven?.resolve();
  tokenGiven = null;
}

/**
 * The server's answer, or a RequestError. `body` (a string of JSON, or a FormData) makes it a POST.
 * `report` is called with a sentence when the request has to wait, and with "" when it goes on.
 */
export async function ask(path, { body, signal, report = () => {} } = {}) {
  for (;;) {
    const used = token;
    const headers = used ? { Authorization: `Bearer ${used}` } : {};
    if (typeof body === "string") headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body, signal });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new RequestError(0, "The server does not answer. Check that it is still running.");
    }
    if (response.ok) return response;
    if (response.status === 401) {
      await waitForToken(used);
    } else if (response.status === 429 || response.status === 503) {
      const seconds = Math.min(60, Number(response.headers.get("Retry-After")) || 1);
      const reason = response.status === 429 ? "The server is busy" : "The server is not ready yet";
      report(`${reason}; the request is sent again in ${seconds} s.`);
      await pause(seconds * 1000, signal).finally(() => report(""));
    } else {
      throw await readError(response);
    }
  }
}

function waitForToken(used) {
  if (token !== used) return undefined; // it was given while this request was on its way
  if (tokenGiven === null) {
    tokenGiven = {};
    tokenGiven.promise = new Promise((resolve) => { tokenGiven.resolve = resolve; });
    document.dispatchEvent(new CustomEvent("token-needed", { detail: { refused: used !== "" } }));
  }
  return tokenGiven.promise;
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}

async function readError(response) {
  const { error } = await response.json().catch(() => ({}));
  const message = error?.message ?? `The server answers ${response.status} ${response.statusText}`;
  return new RequestError(response.status, message, Number.isInteger(error?.index) ? error.index : null);
}
