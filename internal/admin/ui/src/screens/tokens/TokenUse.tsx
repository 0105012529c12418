import { Progress, Stack, Text } from '@mantine/core';

import { formatCount } from '../../shared/format';
import type { Token } from './token';

/** How much of its caps a token has used: of its life, and of the clock hour that runs. */
export function TokenUse({ token }: { token: Token }) {
  return (
    <Stack gap={6}>
      <Use label="in its life" used={token.request_count} cap={token.max_requests} />
      <Use label="this hour" used={token.hour_count} cap={token.requests_per_hour} />
    </Stack>
  );
}

function Use({ label, used, cap }: { label: string; used: number; cap: number | null }) {
  const share = cap === null ? 0 : Math.min(100, (used / cap) * 100);
  return (
    <div>
      <Text size="xs">{formatCount(used)} {cap === null ? '' : `of ${formatCount(cap)} `}{label}</Text>
      {cap !== null && <Progress size="sm" value={share} color={share >= 100 ? 'red' : share >= 80 ? 'orange' : 'indigo'} aria-label={`Used ${label}`} />}
    </div>
  );
}
