import { expect, test } from 'vitest';

import type { Info } from '../../api/info';
import { installation, limits, retention } from './facts';

const info: Info = {
  version: 'v1', store: 'sqlite', bus: 'spool', demo: false, ledger: true, default_provider: 'openai',
  providers: [{
    name: 'openai', base_url: 'https://api.openai.com', clients: 'openai', base_path: '/v1', endpoints: [], retry_attempts: 1, limits: { request_bytes: 1, connections_per_host: 1 },
    timeouts: { connect_ms: 1, response_header_ms: 1, idle_ms: 1 }, circuit_breaker: { failures: 5, window_ms: 10_000, cooldown_ms: 5_000 },
  }],
  limits: { max_duration_minutes: 43_200, default_requests_per_hour: 1000, revoke_batch: 100, session_idle_ms: 1_800_000, session_ms: 43_200_000 },
  retention: { token_days: 30, audit_days: 400, request_days: 1, usage_days: 400 },
};

test('what the server does not say is not made up', () => {
  const text = (of: [string, string][]) => Object.fromEntries(of);
  expect(text(installation(info, 'http://here'))).toMatchObject({ 'Base URL of clients': 'http://here/v1', Region: 'none: nothing is kept on AWS', 'Capture of bodies': 'as the proxy is set' });
  expect(text(installation({ ...info, base_url: 'https://llm.example.com/v1', region: 'eu-central-1' }, ''))).toMatchObject({ 'Base URL of clients': 'https://llm.example.com/v1', Region: 'eu-central-1' });
  expect(text(limits(info))).toMatchObject({ 'Longest life of a token': '30 days', 'Requests of a token in its life, unless it says': 'no limit', 'A session ends when unused for': '30 min', 'A session ends at the latest after': '12 h' });
  expect(text(retention(info))).toMatchObject({ 'A request': '1 day', 'An audit entry': '400 days', 'Events in the bucket': 'none are kept there' });
});
