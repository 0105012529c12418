import { Button, Text } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useState } from 'react';

import { $api } from '../../api/client';
import { useInfo } from '../../api/info';
import { Page } from '../../app/Page';
import { Command } from '../../shared/Command';
import { EmptyState } from '../../shared/EmptyState';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { TableSkeleton } from '../../shared/Skeletons';
import { TimeRangePicker, useTimeRange } from '../../shared/TimeRangePicker';
import { wholeHours } from './period';
import { figuresOver, newestRequest, totalOver } from './questions';
import { QuickStart } from './QuickStart';
import { Tiles } from './Tiles';
import { TopTables } from './TopTables';
import { UsageCharts } from './UsageCharts';

const route = getRouteApi('/overview');

export function OverviewScreen() {
  const { start } = route.useSearch();
  const navigate = route.useNavigate();
  const info = useInfo();
  const first = $api.useQuery('get', '/manage/requests', newestRequest, { enabled: info.data?.ledger === true });
  const [begun, setBegun] = useState(false);
  if (!begun && first.data?.length === 0) {
    setBegun(true); // it stays to the end, when there is a request
  }
  const begin = (on: boolean) => {
    setBegun(false);
    void navigate({ search: (old) => ({ ...old, start: on || undefined }) });
  };
  const showStart = !!start || begun;

  return (
    <Page title="Overview" actions={<>{!showStart && <Button variant="default" onClick={() => begin(true)}>Quick start</Button>}<TimeRangePicker /></>}>
      {info.error && <ProblemAlert error={info.error} retry={() => void info.refetch()} />}
      {info.data?.ledger === false && (
        <EmptyState title="No ledger here">
          Requests, usage and cost are read from the ledger, which this installation does not keep. Start the server with it, or let a dispatcher keep it:
          <Command text="llm-proxy server --ledger=true" />
        </EmptyState>
      )}
      {info.data?.ledger && (
        <>
          {first.error && <ProblemAlert error={first.error} retry={() => void first.refetch()} />}
          {showStart && <QuickStart onClose={() => begin(false)} empty={first.data?.length === 0} />}
          {first.data && first.data.length > 0 && <Figures />}
          {first.isPending && <TableSkeleton label="the figures" />}
        </>
      )}
    </Page>
  );
}

/** How often figures are read anew, in milliseconds. */
export const refresh = 30_000;

function Figures() {
  const range = useTimeRange();
  const { now, then } = wholeHours(range);
  const often = { refetchInterval: refresh, placeholderData: keepPreviousData };
  const current = $api.useQuery('get', '/manage/usage', figuresOver(now, range.bucket), often);
  const earlier = $api.useQuery('get', '/manage/usage', totalOver(then), often);
  if (!current.data) {
    return current.error ? <ProblemAlert error={current.error} retry={() => void current.refetch()} /> : <TableSkeleton label="the figures" />;
  }
  return (
    <>
      <ProblemAlert error={current.error ?? earlier.error} retry={() => { void current.refetch(); void earlier.refetch(); }} />
      <Tiles now={current.data} then={earlier.data} />
      {current.data.total.requests > 0 ? (
        <>
          <UsageCharts period={now} bucket={range.bucket} usage={current.data} />
          <TopTables period={now} />
        </>
      ) : (
        <Text c="dimmed">Nobody has asked anything in this time. A longer one may show more.</Text>
      )}
    </>
  );
}
