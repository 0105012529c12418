import { Code, Group, Paper, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import { CopyButton } from '../../shared/CopyButton';
import { formatTime } from '../../shared/format';
import { ProjectName } from '../../shared/names';
import { Countdown, Time } from '../../shared/Time';
import type { Token } from '../tokens/token';
import { TokenStatus } from '../tokens/TokenStatus';
import { TokenUse } from '../tokens/TokenUse';

/** What a token is, and how much of it is left. */
export function TokenFacts({ token }: { token: Token }) {
  return (
    <Paper withBorder p="md">
      <dl className="tiles" style={{ margin: 0 }}>
        <Fact label="State"><TokenStatus token={token} /></Fact>
        <Fact label="Project"><Link to="/tokens" search={{ project: token.project_id }}><ProjectName id={token.project_id} /></Link></Fact>
        <Fact label="Id"><Group gap="xs"><Code className="wrap">{token.id}</Code><CopyButton text={token.id} label="Copy the id" /></Group></Fact>
        {token.status === 'revoked'
          ? <Fact label="Revoked"><Time at={token.revoked_at} /></Fact>
          : <Fact label="Ends"><Countdown until={token.expires_at} over="over" /><Text size="xs" c="dimmed">{formatTime(token.expires_at)}</Text></Fact>}
        <Fact label="Used"><TokenUse token={token} /></Fact>
        <Fact label="Last used"><Time at={token.last_used_at} /></Fact>
        <Fact label="Created"><Time at={token.created_at} /><Text size="xs" c="dimmed">{formatTime(token.created_at)}</Text></Fact>
        {token.request_headers_drop.length > 0 && <Fact label="Headers that stay behind"><span className="wrap">{token.request_headers_drop.join(', ')}</span></Fact>}
      </dl>
    </Paper>
  );
}

function Fact({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div>
      <Text component="dt" size="xs" c="dimmed">{label}</Text>
      <Text component="dd" m={0} size="sm">{children}</Text>
    </div>
  );
}
