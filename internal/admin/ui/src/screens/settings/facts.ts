import type { Info } from '../../api/info';
import { formatBytes, formatCount, formatDuration } from '../../shared/format';

/** A line of the settings: what it is, how it is set, and what that means where the name does not say it. */
export type Fact = [name: string, value: string];

const none = 'no limit';
const or = <T>(value: T | undefined | null, format: (value: T) => string, absent: string) => (value == null ? absent : format(value));
const days = (n: number) => (n === 1 ? '1 day' : `${formatCount(n)} days`);
const span = (ms: number) => (ms >= 172_800_000 && ms % 86_400_000 === 0 ? days(ms / 86_400_000) : ms >= 3_600_000 && ms % 3_600_000 === 0 ? `${ms / 3_600_000} h` : ms >= 60_000 && ms % 60_000 === 0 ? `${ms / 60_000} min` : formatDuration(ms));

export function installation(info: Info, origin: string): Fact[] {
  const usual = info.providers.find(({ name }) => name === info.default_provider);
  return [
    ['Version', info.version],
    ['Base URL of clients', info.base_url ?? `${origin}${usual?.base_path ?? ''}`],
    ['Region', info.region ?? 'none: nothing is kept on AWS'],
    ['Store', info.store === 'dynamodb' ? 'DynamoDB' : info.store === 'sqlite' ? 'SQLite' : info.store],
    ['Bus of events', info.bus === 'eventbridge' ? 'EventBridge' : info.bus === 'spool' ? 'spool, files on this machine' : info.bus],
    ['Ledger of usage', info.ledger ? 'on' : 'off'],
    ['Capture of bodies', info.capture ?? 'as the proxy is set'],
    ['Default provider', info.default_provider],
    ['Demo provider', info.demo ? 'on' : 'off'],
  ];
}

export function limits({ limits: l }: Info): Fact[] {
  return [
    ['Longest life of a token', span(l.max_duration_minutes * 60_000)],
    ['Requests of a token in an hour, unless it says', formatCount(l.default_requests_per_hour)],
    ['Requests of a token in its life, unless it says', or(l.default_max_requests, formatCount, none)],
    ['Requests of a token at once', or(l.max_concurrent_per_token, formatCount, none)],
    ['Body of a request, by the platform', or(l.request_bytes, formatBytes, none)],
    ['Head of a request', or(l.header_bytes, formatBytes, none)],
    ['An answer with its stream, by the platform', or(l.answer_ms, span, none)],
    ['Tokens that one call revokes', formatCount(l.revoke_batch)],
    ['Unknown tokens that a source may try in a minute', or(l.unknown_tokens_per_minute, formatCount, none)],
    ['Failures to sign in, in a minute', or(l.sign_in_failures_per_minute, formatCount, 'not told')],
    ['A session ends when unused for', or(l.session_idle_ms, span, 'not told')],
    ['A session ends at the latest after', or(l.session_ms, span, 'not told')],
  ];
}

export function retention({ retention: r }: Info): Fact[] {
  return [
    ['A token after its expiry', days(r.token_days)],
    ['An audit entry', days(r.audit_days)],
    ['A request', days(r.request_days)],
    ['Sums of usage', days(r.usage_days)],
    ['Events in the bucket', or(r.event_days, days, 'none are kept there')],
    ['Events that wait for a destination', or(r.event_bytes, (n) => `${formatBytes(n)}, then the oldest go`, 'as the queue keeps them')],
    ['Log and archive of the bus', or(r.log_days, days, 'not by llm-proxy')],
  ];
}

export function ofProvider(p: Info['providers'][number]): Fact[] {
  const { timeouts: t, limits: l, circuit_breaker: b } = p;
  return [
    ['Upstream', p.base_url],
    ['Base path of clients', p.base_path || 'none: the origin alone'],
    ['Made for clients of', p.clients],
    ['Time to connect', span(t.connect_ms)],
    ['Time to the head of an answer', span(t.response_header_ms)],
    ['Longest silence in an answer', span(t.idle_ms)],
    ['Body of a request', formatBytes(l.request_bytes)],
    ['Connections to a host', formatCount(l.connections_per_host)],
    ['Further tries', formatCount(p.retry_attempts)],
    ['Circuit breaker', `opens after ${formatCount(b.failures)} failures in ${span(b.window_ms)}, for ${span(b.cooldown_ms)}`],
  ];
}
