import { Anchor, Code, Drawer, Group, Skeleton, Stack, Table, Text, Title } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import { $api, type Schemas } from '../../api/client';
import { CopyButton } from '../../shared/CopyButton';
import { formatBytes, formatCost, formatCount, formatTime, unknown } from '../../shared/format';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { StatusBadge } from '../../shared/StatusBadge';
import { nameOf, useTokenNames, type Names } from '../../shared/names';
import { outcomeText, toneOf } from './columns';
import { outcomes } from './search';
import { Timeline } from './Timeline';

/** All that is known of one request. */
export function RequestDrawer({ id, onClose, projects }: { id: string | undefined; onClose: () => void; projects: Names }) {
  const { data, error, refetch } = $api.useQuery('get', '/manage/requests/{id}', { params: { path: { id: id ?? '' } } }, { enabled: !!id });
  return (
    <Drawer opened={!!id} onClose={onClose} title="Request" size="xl">
      {data ? <Details request={data} projects={projects} /> : error ? <ProblemAlert error={error} retry={() => void refetch()} /> : <Stack>{[1, 2, 3].map((n) => <Skeleton key={n} height={48} />)}</Stack>}
    </Drawer>
  );
}

function Details({ request: r, projects }: { request: Schemas['Request']; projects: Names }) {
  const tokens = useTokenNames(r.token_id ? [r.token_id] : []);
  const u = r.usage;
  return (
    <Stack gap="lg">
      <Stack gap="xs">
        <Group gap="xs">
          <StatusBadge tone={toneOf(r)}>{r.status ? String(r.status) : unknown}</StatusBadge>
          <Text className="wrap" fw={600}>{r.method} {r.path}</Text>
        </Group>
        <Text size="sm">{outcomeText(r)}: {outcomes[r.outcome]}{r.code ? <> The answer said <Code>{r.code}</Code>.</> : null}</Text>
      </Stack>
      <Timeline timing={r.timing} />
      <Facts title="Usage and cost">
        <Fact name="Cost">{formatCost(u?.cost_usd)}</Fact>
        <Fact name="Input">{formatCount(u?.input)}{details([u?.cached, 'cached'], [u?.cache_write, 'written to the cache'])}</Fact>
        <Fact name="Output">{formatCount(u?.output)}{details([u?.reasoning, 'reasoning'])}</Fact>
        <Fact name="Total">{formatCount(u?.total)}</Fact>
        <Fact name="Source">{!u ? unknown : u.source === 'upstream' ? 'the provider says so' : `counted here${u.partial ? ', from a part of the answer' : ''}`}</Fact>
      </Facts>
      <Facts title="What and who">
        <Fact name="Request id"><Copied text={r.id} /></Fact>
        <Fact name="Time"><time dateTime={r.time}>{formatTime(r.time)}</time></Fact>
        <Fact name="Project">{r.project_id ? <><Anchor inherit underline="always" renderRoot={(props) => <Link to="/projects" search={{ edit: r.project_id }} {...props} />}>{nameOf(projects, r.project_id)}</Anchor><Copied text={r.project_id} /></> : unknown}</Fact>
        <Fact name="Token">{r.token_id ? <><Anchor inherit underline="always" renderRoot={(props) => <Link to="/tokens/$id" params={{ id: r.token_id! }} {...props} />}>{nameOf(tokens, r.token_id)}</Anchor><Copied text={r.token_id} /></> : unknown}</Fact>
        <Fact name="Provider">{r.provider ?? unknown}</Fact>
        <Fact name="Model">{r.model ?? unknown}</Fact>
        <Fact name="Stream">{r.stream ? `yes${r.response.events ? `, ${formatCount(r.response.events)} events` : ''}` : 'no'}</Fact>
        <Fact name="Request body">{message(r.request)}</Fact>
        <Fact name="Answer body">{message(r.response)}</Fact>
      </Facts>
      {r.response.headers && Object.keys(r.response.headers).length > 0 && (
        <Facts title="Headers of the answer">
          {Object.entries(r.response.headers).map(([name, value]) => <Fact key={name} name={name}>{value}</Fact>)}
        </Facts>
      )}
    </Stack>
  );
}

function Facts({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title}>
      <Title order={3} size="h5" mb="xs">{title}</Title>
      <Table aria-label={title} variant="vertical" layout="fixed"><Table.Tbody>{children}</Table.Tbody></Table>
    </section>
  );
}

const Fact = ({ name, children }: { name: string; children: ReactNode }) => (
  <Table.Tr><Table.Th scope="row" w="9rem" className="wrap">{name}</Table.Th><Table.Td className="wrap">{children}</Table.Td></Table.Tr>
);

const Copied = ({ text }: { text: string }) => <Group gap="xs"><Text span size="sm" className="wrap">{text}</Text><CopyButton text={text} size="compact-xs" /></Group>;

/** ", of it 12 cached" for what is known. */
function details(...parts: [number | undefined, string][]): string {
  const known = parts.filter(([n]) => n !== undefined).map(([n, what]) => `${formatCount(n)} ${what}`);
  return known.length > 0 ? `, of it ${known.join(', ')}` : '';
}

const message = ({ bytes, content_type, content_encoding }: Schemas['Message']) => [formatBytes(bytes), content_type, content_encoding].filter(Boolean).join(', ');
