// Intercom from a page of your application, through the mirror that serves this file:
//
//   import { authenticate, connect, request } from "https://mirror.example.com/sdk.js";
//   authenticate(() => fetch("/my/user-token").then((answer) => answer.text()));
//   await connect();
//   const contact = await request("/contacts", { method: "POST", body: { role: "user", email: "ada@example.com" } });
//
// Every failure is a MirrorError, whose `problem` says what is wrong and what to do (RFC 9457). ALLOWED_ORIGINS must
// list the page's origin. Types: /sdk.d.ts.

const MIRROR = new URL(import.meta.url).origin;
const PROBLEM = "urn:intercom-mirror:problem:";

const LOOK = 1000; // milliseconds between looks while a user connects: soon enough for somebody who waits
const PATIENCE = 15 * 60 * 1000; // milliseconds: Intercom's page has to be answered within ten minutes

let token = null;

/** What went wrong: `problem` has `type`, `title`, `status` (0: no answer came) and `detail`. */
export class MirrorError extends Error {
  constructor(problem) {
    super(problem.detail || problem.title);
    this.name = "MirrorError";
    this.problem = problem;
    this.status = problem.status;
    this.type = problem.type;
  }
}

/** Say who the user is: a user token, or a function that returns one, also later. It is asked before each call. */
export function authenticate(userToken) {
  token = userToken;
}

/** The user's newest open connection, or null. */
export async function connection() {
  return (await connections())[0] ?? null;
}

/**
 * Open the connect page in a window and wait until a workspace is connected; returns its connection.
 * Call it while a click is handled, because browsers open no windows otherwise. It fails if the window is closed and
 * nothing is connected, and when `signal` says so.
 */
export async function connect({ signal } = {}) {
  const page = window.open("about:blank", "intercom-mirror-connect", "popup,width=520,height=760");
  if (!page) throw problem("popup-blocked", "The window was not opened", "Call connect() while a click is handled, or allow windows.");
  try {
    const before = new Set((await connections()).map((each) => each.workspace_id));
    page.location.href = `${MIRROR}/connect?token=${encodeURIComponent(await userToken())}`;
    return await connectedIn(page, before, signal);
  } finally {
    page.close();
  }
}

/** Call any address of Intercom's API for the user, such as "/contacts". Returns its JSON; a Blob where it has none. */
export async function request(path, { method = "GET", body, headers, workspaceId, signal } = {}) {
  const address = new URL(`${MIRROR}/api/proxy${path}`);
  // "/../" would leave the proxy.
  if (!path.startsWith("/") || !address.pathname.startsWith("/api/proxy/"))
    throw problem("bad-path", "This path is not passed on", "Write a path of Intercom's API that begins with a slash.");
  return call(address, { method, body, headers, workspaceId, signal });
}

/** Do one of the mirror's actions, such as "create-contact". With the same idempotencyKey it is done once. */
export async function action(name, input, { idempotencyKey, workspaceId, signal } = {}) {
  const headers = idempotencyKey === undefined ? {} : { "Idempotency-Key": idempotencyKey };
  return call(new URL(`${MIRROR}/api/actions/${encodeURIComponent(name)}`), { method: "POST", body: input ?? {}, headers, workspaceId, signal });
}

async function connections() {
  const told = await call(new URL(`${MIRROR}/api/connections`), { method: "GET" });
  return told.connections.filter((each) => each.status === "connected");
}

async function connectedIn(page, before, signal) {
  const until = Date.now() + PATIENCE;
  for (;;) {
    signal?.throwIfAborted();
    // Looked at before asking: who connects and closes the window at once is connected. A page that cuts itself off
    // looks closed as well, but then this page has no focus.
    const left = page.closed && document.hasFocus();
    const open = await connections();
    const found = open.find((each) => !before.has(each.workspace_id));
    if (found) return found;
    if (left && open.length) return open[0];
    if (left || Date.now() > until)
      throw problem("not-connected", "No workspace is connected", "The window was left before a workspace was connected.");
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
}

async function userToken() {
  const found = typeof token === "function" ? await token() : token;
  if (!found) throw problem("not-authorized", "Nobody is signed in", "Call authenticate() with a user token first.", 401);
  return found;
}

async function call(address, { method, body, headers = {}, workspaceId, signal }) {
  const sent = new Headers({ Accept: "application/json", ...headers, Authorization: `Bearer ${await userToken()}` });
  if (workspaceId !== undefined) sent.set("X-Workspace-Id", workspaceId);
  if (body !== undefined) sent.set("Content-Type", "application/json");
  const answer = await send(address, { method, headers: sent, body: body === undefined ? undefined : JSON.stringify(body), signal });
  const told = await content(answer);
  if (answer.ok) return told;
  throw new MirrorError(isProblem(answer) && told ? told : ofIntercom(answer.status, told));
}

async function send(address, options) {
  try {
    // Neither cookies nor copies: the token alone says who asks, and what is asked for changes.
    return await fetch(address, { ...options, credentials: "omit", cache: "no-store", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError" || options.signal?.aborted) throw error;
    throw problem("unreachable", "The mirror did not answer", "It is away, or ALLOWED_ORIGINS does not list this page's origin.");
  }
}

async function content(answer) {
  if (answer.status === 204) return null;
  if (!/[/+]json\b/.test(answer.headers.get("Content-Type") ?? "")) return answer.ok ? answer.blob() : null;
  const text = await answer.text();
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    throw problem("no-json", "The answer is no JSON", "Intercom or something in between answered with something else.", answer.status);
  }
}

function isProblem(answer) {
  return (answer.headers.get("Content-Type") ?? "").startsWith("application/problem+json");
}

// Intercom's own errors are lists of codes and messages.
function ofIntercom(status, told) {
  const errors = told?.errors ?? [];
  const detail = errors.map((each) => each.message).filter(Boolean).join(" ") || `Intercom answered ${status}.`;
  return { type: `${PROBLEM}rejected`, title: "Intercom refuses", status, detail, errors, request_id: told?.request_id ?? null };
}

function problem(slug, title, detail, status = 0) {
  return new MirrorError({ type: PROBLEM + slug, title, status, detail });
}
