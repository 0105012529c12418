import type { components } from './schema.gen';

type Wire = components['schemas']['Problem'];

/** What went wrong with a request, as the server says it (RFC 9457) or as we do where it says nothing. */
export class Problem extends Error {
  readonly title: string;
  /** The status; 0 where no answer came. */
  readonly status: number;
  readonly detail: string;
  /** What is wrong with which field of what was sent. */
  readonly errors: { field: string; message: string }[];
  /** The request's id, as the server's log and the audit have it. */
  readonly requestID: string | undefined;
  /** Seconds to wait, where the server says so. */
  readonly retryAfter: number | undefined;

  constructor(wire: Partial<Wire> & { status: number }, about: { requestID?: string; retryAfter?: number } = {}) {
    super(wire.detail || wire.title || `Status ${wire.status}`);
    this.name = 'Problem';
    this.title = wire.title ?? '';
    this.status = wire.status;
    this.detail = this.message;
    this.errors = wire.errors ?? [];
    this.requestID = about.requestID;
    this.retryAfter = about.retryAfter;
  }

  /** Whether what was asked for has gone, or is another than who asked has seen. */
  get outdated(): boolean {
    return this.status === 404 || this.status === 409 || this.status === 412;
  }

  /** Whether the same request may succeed a moment later. */
  get passes(): boolean {
    return this.status === 0 || this.status === 429 || this.status === 503 || this.status === 502 || this.status === 504;
  }
}

/** Reads the problem out of an answer that is none of the good ones. */
export async function problemOf(response: Response): Promise<Problem> {
  const wait = Number(response.headers.get('Retry-After') ?? NaN);
  const about = {
    requestID: response.headers.get('X-Llm-Proxy-Request-Id') ?? undefined,
    retryAfter: Number.isFinite(wait) ? wait : undefined,
  };
  if (response.headers.get('Content-Type')?.startsWith('application/problem+json')) {
    try {
      const wire = (await response.json()) as Partial<Wire>;
      return new Problem({ ...wire, status: response.status }, about);
    } catch {
      // broken off; what follows says all that is known
    }
  }
  return new Problem({ status: response.status, title: response.statusText, detail: `The server answered with status ${response.status}.` }, about);
}

/** Anything that was thrown, as a problem. */
export function toProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) {
    return thrown;
  }
  if (thrown instanceof TypeError) { // what fetch throws where no answer comes
    return new Problem({ status: 0, title: 'No answer', detail: 'The server does not answer. Is it running, and is the network there?' });
  }
  return new Problem({ status: 0, title: 'Something went wrong', detail: thrown instanceof Error ? thrown.message : String(thrown) });
}
