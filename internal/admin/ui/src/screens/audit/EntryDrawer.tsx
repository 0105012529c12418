import { Button, Drawer, Stack, Table, Text, Title } from '@mantine/core';

import { CopyButton } from '../../shared/CopyButton';
import type { Names } from '../../shared/names';
import { StatusBadge } from '../../shared/StatusBadge';
import { formatCount, formatTime } from '../../shared/format';
import { changesOf, type Entry } from './entry';
import type { ExactFilter } from './search';

interface Props {
  id: string | undefined;
  known: Entry[];
  names: { projects: Names; tokens: Names };
  loading: boolean;
  onClose: () => void;
  onFilter: (filter: ExactFilter, value: string) => void;
}

/** All of an entry. The list is where it comes from: the API has no entry alone. */
export function EntryDrawer({ id, known, names, loading, onClose, onFilter }: Props) {
  const entry = known.find((e) => e.id === id);
  return (
    <Drawer opened={!!id} onClose={onClose} title="Audit entry">
      {entry ? <Details entry={entry} names={names} onFilter={onFilter} /> : <Text>{loading ? 'Loading…' : 'It is not among the entries that the list shows: widen its time and filters.'}</Text>}
    </Drawer>
  );
}

function Details({ entry: e, names: { projects, tokens }, onFilter }: { entry: Entry; names: Props['names']; onFilter: Props['onFilter'] }) {
  const changes = changesOf(e);
  const narrow = (filter: ExactFilter, value: string, of: string) => <Button size="compact-xs" variant="default" onClick={() => onFilter(filter, value)}>Only of this {of}</Button>;
  return (
    <Stack>
      <Table layout="fixed">
        <Table.Tbody>
          <Row name="Action">{e.action}</Row>
          <Row name="Outcome"><StatusBadge tone={e.outcome === 'done' ? 'good' : 'bad'}>{e.outcome}</StatusBadge></Row>
          {e.reason && <Row name="Reason">{e.reason}</Row>}
          {!!e.suppressed && <Row name="Refused besides">{formatCount(e.suppressed)}, without entries of their own</Row>}
          <Row name="Time">{formatTime(e.time)}</Row>
          <Row name="Who">{e.actor} {narrow('actor', e.actor, 'actor')}</Row>
          {e.client_addr && <Row name="From">{e.client_addr}</Row>}
          {e.forwarded && <Row name="Forwarded for (as claimed)">{e.forwarded}</Row>}
          {e.project_id && <Row name="Project"><Named id={e.project_id} names={projects} /> {narrow('project_id', e.project_id, 'project')}</Row>}
          {e.token_id && <Row name="Token"><Named id={e.token_id} names={tokens} /> {narrow('token_id', e.token_id, 'token')}</Row>}
          {e.request_id && <Row name="Request">{e.request_id} {narrow('request_id', e.request_id, 'request')}</Row>}
        </Table.Tbody>
      </Table>
      {changes.length > 0 && (
        <>
          <Title order={3} size="h5">Changed fields</Title>
          <Table layout="fixed" withTableBorder>
            <Table.Thead><Table.Tr><Table.Th>Field</Table.Th><Table.Th>Before</Table.Th><Table.Th>After</Table.Th></Table.Tr></Table.Thead>
            <Table.Tbody>
              {changes.map(({ field, before, after }) => (
                <Table.Tr key={field}>
                  <Table.Th scope="row" className="wrap" fw={500}>{field}</Table.Th>
                  <Table.Td className="wrap"><Value>{before}</Value></Table.Td>
                  <Table.Td className="wrap"><Value>{after}</Value></Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </>
      )}
      <CopyButton text={JSON.stringify(e, null, 2)} label="Copy as JSON" w="fit-content" />
    </Stack>
  );
}

function Row({ name, children }: { name: string; children: React.ReactNode }) {
  return <Table.Tr><Table.Th scope="row" w="35%" fw={500}>{name}</Table.Th><Table.Td className="wrap">{children}</Table.Td></Table.Tr>;
}

/** A name with its id; the id alone where it has no name. */
const Named = ({ id, names }: { id: string; names: Names }) => <>{names[id] && <Text size="sm" fw={500}>{names[id]}</Text>}{id}</>;

/** A value; what was not there looks unlike anything that was. */
function Value({ children }: { children: string | undefined }) {
  return children === undefined || children === '' ? <Text span size="sm" c="dimmed" fs="italic">none</Text> : children;
}
