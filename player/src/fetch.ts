// HTTP: its words and errors. What the page asks for is in page-http.ts, everything else in media-http.ts.

/** How long any request may take, unless its size allows for more. */
export const LIMIT_MS = 8000;
/** How long a request may bring nothing where there is another CDN to ask. */
export const HASTY_MS = 1500;

/** Requests to the CDN, by what was asked for. */
export interface Requests {
  playlist: number;
  /** Leaf lists. */
  list: number;
  /** Segments and ranges of segments. */
  media: number;
  /** Init sections. */
  other: number;
}

/** What went over HTTP. Bytes are bytes of bodies. */
export interface HttpCounters {
  requests: Requests;
  mediaBytes: number;
  playlistBytes: number;
}

export class HttpError extends Error {
  constructor(
    /** HTTP status; 0 if there was no answer. */
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = "HttpError";
  }
}

/** The part of fetch that is used, so that tests can stand in for the network. */
export type FetchFunction = (url: string, init: RequestInit) => Promise<Response>;

export interface Text {
  text: string;
  /** The address after redirections: relative URIs are relative to it. */
  url: string;
  /** When it was complete, on the clock of performance.now(). */
  receivedMs: number;
  /** What the header Age says: how long a cache has had it. */
  age: string | null;
  /** Which CDN it came from; and whether that was asked for a second opinion. */
  from?: number;
  second?: boolean;
}
