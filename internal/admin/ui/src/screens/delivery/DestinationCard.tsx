import { Alert, Button, Group, Paper, Stack, Table, Text, Title } from '@mantine/core';
import { IconRefresh, IconSend } from '@tabler/icons-react';
import { useState } from 'react';

import { $api } from '../../api/client';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { StatusBadge } from '../../shared/StatusBadge';
import { Time } from '../../shared/Time';
import { formatBytes, formatCount } from '../../shared/format';
import { oldestWaiting, states, testResult, untoldDelivery, type Destination } from './destination';

/** A destination: how it goes, and what can be done about it. */
export function DestinationCard({ destination: d, onRedrive }: { destination: Destination; onRedrive: (d: Destination) => void }) {
  const { tone, means } = states[d.state];
  const test = $api.useMutation('post', '/manage/destinations/{name}/test');
  const [told, setTold] = useState<ReturnType<typeof testResult>>();
  const tryIt = () => {
    setTold(undefined);
    test.mutate({ params: { path: { name: d.name } } }, { onSuccess: (result) => setTold(testResult(d.name, result)) });
  };
  return (
    <Paper withBorder p="md" component="section" aria-label={d.name}>
      <Stack gap="sm">
        <Group justify="space-between" wrap="nowrap" align="flex-start">
          <div>
            <Title order={2} size="h4" className="wrap">{d.name}</Title>
            {d.kind && d.kind !== d.name && <Text size="sm" c="dimmed">{d.kind}</Text>}
          </div>
          <StatusBadge tone={tone}>{d.state}</StatusBadge>
        </Group>
        <Text size="sm">{d.redriving ? 'Dead letters are being sent again.' : means}</Text>
        <Table layout="fixed" aria-label={`Figures of ${d.name}`}>
          <Table.Tbody>
            <Row name="Waiting">{formatCount(d.backlog)}{d.backlog_bytes ? `, ${formatBytes(d.backlog_bytes)}` : ''}</Row>
            <Row name="Oldest waiting">{oldestWaiting(d)}</Row>
            <Row name="Delivered">{formatCount(d.delivered)}{d.since && <Text span size="xs" c="dimmed"> counted since <Time at={d.since} /></Text>}</Row>
            <Row name="Tried again">{formatCount(d.retried)}</Row>
            <Row name="Given up">{formatCount(d.dead)}</Row>
            <Row name="Dead letters"><Text span size="sm" fw={d.dead_letters ? 700 : 400} c={d.dead_letters ? 'var(--mantine-color-error)' : undefined}>{formatCount(d.dead_letters)}</Text></Row>
            <Row name="Last delivery">{d.last_delivery ? <Time at={d.last_delivery} /> : untoldDelivery(d)}</Row>
            <Row name="Last error">{d.last_error ? <>{d.last_error} {d.last_error_at && <Text span size="xs" c="dimmed">(<Time at={d.last_error_at} />)</Text>}</> : 'none'}</Row>
          </Table.Tbody>
        </Table>
        {told && (
          <Alert color={told.good ? 'green' : 'red'} role={told.good ? 'status' : 'alert'} withCloseButton closeButtonLabel="Close" onClose={() => setTold(undefined)}>
            <Text size="sm" className="wrap">{told.text}</Text>
          </Alert>
        )}
        <ProblemAlert error={test.error} title={`${d.name} was not tested`} retry={tryIt} />
        <Group gap="sm">
          {!d.no_test && <Button size="xs" variant="default" leftSection={<IconSend size={14} />} loading={test.isPending} onClick={tryIt}>Send a test event</Button>}
          {!d.no_redrive && !!d.dead_letters && <Button size="xs" variant="default" leftSection={<IconRefresh size={14} />} disabled={d.redriving} onClick={() => onRedrive(d)}>Send dead letters again</Button>}
        </Group>
        {d.no_test && <Text size="xs" c="dimmed">{d.no_test}</Text>}
        {d.no_redrive && d.no_redrive !== d.no_test && <Text size="xs" c="dimmed">{d.no_redrive}</Text>}
      </Stack>
    </Paper>
  );
}

function Row({ name, children }: { name: string; children: React.ReactNode }) {
  return <Table.Tr><Table.Th scope="row" w="40%" fw={500}>{name}</Table.Th><Table.Td className="wrap">{children}</Table.Td></Table.Tr>;
}
