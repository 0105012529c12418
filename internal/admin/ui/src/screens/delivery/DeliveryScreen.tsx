import { Button, Paper, Skeleton, VisuallyHidden } from '@mantine/core';
import { IconRefresh } from '@tabler/icons-react';
import { useState } from 'react';

import { $api } from '../../api/client';
import { useInfo } from '../../api/info';
import { toProblem } from '../../api/problem';
import { Page } from '../../app/Page';
import { EmptyState } from '../../shared/EmptyState';
import { ProblemAlert } from '../../shared/ProblemAlert';
import classes from './Delivery.module.css';
import { DestinationCard } from './DestinationCard';
import type { Destination } from './destination';
import { Redrive } from './Redrive';

const every = 5_000; // milliseconds between two looks

export function DeliveryScreen() {
  const { data, error, isFetching, refetch } = $api.useQuery('get', '/manage/destinations', {}, { refetchInterval: every });
  const [redriving, setRedriving] = useState<Destination>();
  const untold = toProblem(error).status === 404; // this installation does not tell of them
  return (
    <Page title="Delivery" actions={<Button variant="default" leftSection={<IconRefresh size={16} />} loading={isFetching && !data} onClick={() => void refetch()}>Refresh</Button>}>
      {!untold && <ProblemAlert error={error} retry={() => void refetch()} />}
      {!data && !error && <Loading />}
      {(untold || data?.length === 0) && <NoDestination />}
      {data && data.length > 0 && <div className={classes.cards}>{data.map((d) => <DestinationCard key={d.name} destination={d} onRedrive={setRedriving} />)}</div>}
      <Redrive destination={redriving} onClose={() => setRedriving(undefined)} />
    </Page>
  );
}

function Loading() {
  return (
    <div className={classes.cards} aria-busy="true">
      <VisuallyHidden role="status">Loading Delivery</VisuallyHidden>
      {[1, 2].map((n) => <Paper key={n} withBorder p="md"><Skeleton height={320} /></Paper>)}
    </div>
  );
}

/** How a destination is switched on, where this installation runs. */
function NoDestination() {
  const onAWS = useInfo().data?.bus === 'eventbridge';
  return (
    <EmptyState title="No destination yet" command={onAWS ? 'sam deploy --parameter-overrides CloudWatchEvents=true' : 'LLM_PROXY_WEBHOOK_URL=https://example.com/hook llm-proxy dispatcher --service webhook'}>
      {onAWS
        ? 'Each request ends in an event on the bus. A parameter of the stack switches a destination on: CloudWatchEvents, WebhookSecret, HeliconeSecret or LunarySecret.'
        : 'Each request ends in an event. Start the server with --file-event-log to have each as a line of a file and with --ledger to see usage here, or run a dispatcher beside it for a webhook, Helicone, Lunary, S3 or CloudWatch.'}
    </EmptyState>
  );
}
