/** Types of /sdk.js. */

/** What is wrong (RFC 9457). `status` is that of HTTP; 0 if no answer came. Some kinds have more members. */
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
  /** Which workspace, where the user connected several. */
  workspaceId?: string;
  signal?: AbortSignal;
}

export interface RequestOptions extends Options {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Written as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
}

export type ActionName = "create-contact" | "update-contact" | "get-contact" | "search-contacts" | "send-message";

/** Say who the user is: a user token, or a function that returns one and is asked before each call. */
export function authenticate(userToken: string | (() => string | Promise<string>)): void;

/** The user's newest open connection, or null. */
export function connection(): Promise<Connection | null>;

/** Open the connect page in a window and wait until a workspace is connected. Call it while a click is handled. */
export function connect(options?: { signal?: AbortSignal }): Promise<Connection>;

/** Call any address of Intercom's API for the user; resolves with its JSON, a Blob, or null where there is no content. */
export function request<Answer = any>(path: string, options?: RequestOptions): Promise<Answer>;

/** Do one of the mirror's actions; with the same `idempotencyKey` it is done once. */
export function action<Output = any>(
  name: ActionName,
  input: object,
  options?: Options & { idempotencyKey?: string },
): Promise<Output>;
