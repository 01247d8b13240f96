/** Types of /sdk.js. */

/** An error (RFC 9457). `status` is the HTTP status; 0 if there was no response. Some types have more members. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  [member: string]: unknown;
}

export class MirrorError extends Error {
  constructor(problem: Problem);
  readonly problem: Problem;
  readonly status: number;
  readonly type: string;
}

export interface Connection {
  workspace_id: string;
  name: string | null;
  region: string | null;
  status: "connected";
}

export interface Options {
  /** The workspace; required if the user connected several. */
  workspaceId?: string;
  signal?: AbortSignal;
}

export interface RequestOptions extends Options {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Sent as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
}

export type ActionName = "create-contact" | "update-contact" | "get-contact" | "search-contacts" | "send-message";

/** Set the user token, or a function that returns one; it is called before each request. */
export function authenticate(userToken: string | (() => string | Promise<string>)): void;

/** The user's newest open connection, or null. */
export function connection(): Promise<Connection | null>;

/** Open the connect page in a window and wait until a workspace is connected. Call it in a click handler. */
export function connect(options?: { signal?: AbortSignal }): Promise<Connection>;

/** Call any path of Intercom's API for the user; resolves with JSON, a Blob, or null if there is no content. */
export function request<Content = any>(path: string, options?: RequestOptions): Promise<Content>;

/** Perform one of the mirror's actions; with the same `idempotencyKey` it is performed once. */
export function action<Output = any>(
  name: ActionName,
  input: object,
  options?: Options & { idempotencyKey?: string },
): Promise<Output>;
