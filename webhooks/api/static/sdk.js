// Calls Intercom from a page of your application, through the mirror that serves this file:
//
//   import { authenticate, connect, request } from "https://mirror.example.com/sdk.js";
//   authenticate(() => fetch("/my/user-token").then((response) => response.text()));
//   await connect();
//   const contact = await request("/contacts", { method: "POST", body: { role: "user", email: "ada@example.com" } });
//
// Every failure is a MirrorError, whose `problem` gives the reason and what to do (RFC 9457). ALLOWED_ORIGINS must
// contain the page's origin. Types: /sdk.d.ts.

const MIRROR = new URL(import.meta.url).origin;
const PROBLEM = "urn:intercom-mirror:problem:";

const POLL_INTERVAL = 1000; // milliseconds between polls while a user connects
const CONNECT_TIMEOUT = 15 * 60 * 1000; // milliseconds: Intercom's page must be completed within ten minutes

let token = null;

/** An error: `problem` has `type`, `title`, `status` (0 if there was no response) and `detail`. */
export class MirrorError extends Error {
  constructor(problem) {
    super(problem.detail || problem.title);
    this.name = "MirrorError";
    this.problem = problem;
    this.status = problem.status;
    this.type = problem.type;
  }
}

/** Set the user token, or a function that returns one or a promise of one; it is called before each request. */
export function authenticate(userToken) {
  token = userToken;
}

/** The user's newest open connection, or null. */
export async function connection() {
  return (await connections())[0] ?? null;
}

/**
 * Open the connect page in a window and wait until a workspace is connected; returns its connection.
 * Call it in a click handler, because browsers block other windows. It fails if the window is closed before a workspace
 * is connected, and when `signal` aborts.
 */
export async function connect({ signal } = {}) {
  const page = window.open("about:blank", "intercom-mirror-connect", "popup,width=520,height=760");
  if (!page) throw problem("popup-blocked", "The window was blocked", "Call connect() in a click handler, or allow pop-up windows.");
  try {
    const before = new Set((await connections()).map((each) => each.workspace_id));
    page.location.href = `${MIRROR}/connect?token=${encodeURIComponent(await userToken())}`;
    return await connectedIn(page, before, signal);
  } finally {
    page.close();
  }
}

/** Call any path of Intercom's API for the user, such as "/contacts". Returns JSON, or a Blob for other content. */
export async function request(path, { method = "GET", body, headers, workspaceId, signal } = {}) {
  const address = new URL(`${MIRROR}/api/proxy${path}`);
  // "/../" would leave the proxy.
  if (!path.startsWith("/") || !address.pathname.startsWith("/api/proxy/"))
    throw problem("bad-path", "This path is not forwarded", "Use a path of Intercom's API that begins with a slash.");
  return call(address, { method, body, headers, workspaceId, signal });
}

/** Perform one of the mirror's actions, such as "create-contact". With the same idempotencyKey it is performed once. */
export async function action(name, input, { idempotencyKey, workspaceId, signal } = {}) {
  const headers = idempotencyKey === undefined ? {} : { "Idempotency-Key": idempotencyKey };
  return call(new URL(`${MIRROR}/api/actions/${encodeURIComponent(name)}`), { method: "POST", body: input ?? {}, headers, workspaceId, signal });
}

async function connections() {
  const content = await call(new URL(`${MIRROR}/api/connections`), { method: "GET" });
  return content.connections.filter((each) => each.status === "connected");
}

async function connectedIn(page, before, signal) {
  const until = Date.now() + CONNECT_TIMEOUT;
  for (;;) {
    signal?.throwIfAborted();
    // Checked before the request: a user who connects and closes the window at once is connected. The window also seems
    // closed if its page isolates itself (Cross-Origin-Opener-Policy), but then this page has no focus.
    const closed = page.closed && document.hasFocus();
    const open = await connections();
    const found = open.find((each) => !before.has(each.workspace_id));
    if (found) return found;
    if (closed && open.length) return open[0];
    if (closed || Date.now() > until)
      throw problem("not-connected", "No workspace is connected", "The window was closed before a workspace was connected.");
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
  }
}

async function userToken() {
  const found = typeof token === "function" ? await token() : token;
  if (!found) throw problem("not-authorized", "No user is signed in", "Call authenticate() with a user token first.", 401);
  return found;
}

async function call(address, { method, body, headers = {}, workspaceId, signal }) {
  const sent = new Headers({ Accept: "application/json", ...headers, Authorization: `Bearer ${await userToken()}` });
  if (workspaceId !== undefined) sent.set("X-Workspace-Id", workspaceId);
  if (body !== undefined) sent.set("Content-Type", "application/json");
  const response = await send(address, { method, headers: sent, body: body === undefined ? undefined : JSON.stringify(body), signal });
  const result = await content(response);
  if (response.ok) return result;
  throw new MirrorError(isProblem(response) && result ? result : intercomProblem(response.status, result));
}

async function send(address, options) {
  try {
    // No cookies, because the token identifies the user, and no cache, because the content changes.
    return await fetch(address, { ...options, credentials: "omit", cache: "no-store", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError" || options.signal?.aborted) throw error;
    throw problem("unreachable", "The mirror did not respond", "It is unreachable, or ALLOWED_ORIGINS does not contain this page's origin.");
  }
}

async function content(response) {
  if (response.status === 204) return null;
  if (!/[/+]json\b/.test(response.headers.get("Content-Type") ?? "")) return response.ok ? response.blob() : null;
  const text = await response.text();
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    throw problem("no-json", "The response is not valid JSON", "It was sent by Intercom or by a proxy in between.", response.status);
  }
}

function isProblem(response) {
  return (response.headers.get("Content-Type") ?? "").startsWith("application/problem+json");
}

// Intercom's own errors are lists of codes and messages.
function intercomProblem(status, content) {
  const errors = content?.errors ?? [];
  const detail = errors.map((each) => each.message).filter(Boolean).join(" ") || `Intercom responded with ${status}.`;
  return { type: `${PROBLEM}rejected`, title: "Intercom rejected the request", status, detail, errors, request_id: content?.request_id ?? null };
}

function problem(slug, title, detail, status = 0) {
  return new MirrorError({ type: PROBLEM + slug, title, status, detail });
}
