import { Code, Stack, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { DataTableColumn } from 'mantine-datatable';

import { formatTime } from '../../shared/format';
import { ProjectName } from '../../shared/names';
import { Countdown, Time } from '../../shared/Time';
import { titleOf, type Token } from './token';
import { TokenMenu } from './TokenMenu';
import { TokenStatus } from './TokenStatus';
import type { TokenActions } from './useTokenActions';
import { TokenUse } from './TokenUse';

export function tokenColumns(act: TokenActions): DataTableColumn<Token>[] {
  return [
    {
      accessor: 'name', title: 'Name', width: 200,
      render: (t) => (
        <Stack gap={2} align="flex-start">
          <Link to="/tokens/$id" params={{ id: t.id }} className="wrap" onClick={(event) => event.stopPropagation()}>{titleOf(t)}</Link>
          <Code fz={11} title={t.id}>{t.id.slice(0, 8)}…</Code>
        </Stack>
      ),
    },
    { accessor: 'project_id', title: 'Project', width: 150, render: (t) => <ProjectName id={t.project_id} /> },
    { accessor: 'status', title: 'State', width: 110, render: (t) => <TokenStatus token={t} /> },
    { accessor: 'expires_at', title: 'Expires', width: 170, render: (t) => <Expiry token={t} /> },
    { accessor: 'request_count', title: 'Used', width: 190, render: (t) => <TokenUse token={t} /> },
    { accessor: 'last_used_at', title: 'Last used', width: 120, render: (t) => <Time at={t.last_used_at} /> },
    { accessor: 'actions', title: 'Actions', width: 80, textAlign: 'right', render: (t) => <TokenMenu token={t} act={act} /> },
  ];
}

/** When a token ends: what is left, and the moment. A revoked one has ended already. */
function Expiry({ token }: { token: Token }) {
  if (token.status === 'revoked') {
    return <Text size="sm" c="dimmed">revoked {token.revoked_at && <Time at={token.revoked_at} />}</Text>;
  }
  return (
    <>
      <Countdown until={token.expires_at} over="over" />
      <Text size="xs" c="dimmed">{formatTime(token.expires_at)}</Text>
    </>
  );
}
