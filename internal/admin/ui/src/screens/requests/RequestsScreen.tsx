import { Button, Menu, Stack, Text } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { getRouteApi, useSearch } from '@tanstack/react-router';

import { usePages } from '../../api/pages';
import { Page } from '../../app/Page';
import { DataTable } from '../../shared/DataTable';
import { EmptyState } from '../../shared/EmptyState';
import { useHeldRange, type HeldRange } from '../../shared/heldRange';
import { TimeRangePicker } from '../../shared/TimeRangePicker';
import { useProjectNames, useTokenNames } from '../../shared/names';
import { defaultPreset, type RangeSearch } from '../../shared/timeRange';
import { requestColumns } from './columns';
import { Filters } from './Filters';
import { RequestDrawer } from './RequestDrawer';
import { exportURL, queryOf, type RequestsSearch } from './search';

const route = getRouteApi('/requests');

export function RequestsScreen() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { range: preset = defaultPreset } = useSearch({ from: '__root__' }) as RangeSearch;
  const range = useHeldRange();
  const go = (change: RequestsSearch, replace = false) => void navigate({ search: (old) => ({ ...old, ...change }), replace });
  const pages = usePages('/manage/requests', queryOf(search, range));
  const projects = useProjectNames();
  const tokens = useTokenNames(pages.rows.slice(-100).flatMap(({ token_id }) => token_id ?? []));
  const filtered = Object.entries(search).some(([name, value]) => ['project_id', 'token_id', 'model', 'status', 'outcome'].includes(name) && value !== undefined);
  const longer = range.to !== undefined || preset !== '30d'; // than what is looked at there is
  const longest = () => void navigate({ search: (old) => ({ ...old, range: '30d' as const, from: undefined, to: undefined }) });

  return (
    <Page title="Requests" actions={<><TimeRangePicker /><Export search={search} range={range} /></>}>
      <Filters search={search} go={go} />
      <DataTable
        label="Requests" pages={pages} id="id" columns={requestColumns({ projects, tokens, onOpen: ({ id }) => go({ open: id }) })} onRowClick={({ id }) => go({ open: id })}
        empty={filtered || longer ? (
          <Stack align="flex-start">
            <Text>{filtered ? 'No request fits.' : 'No request in this time.'}</Text>
            {longer && <Button variant="default" onClick={longest}>Look at 30 days</Button>}
          </Stack>
        ) : (
          <EmptyState title="No request yet" command="llm-proxy openai chat --token-file token.txt">
            Each request that a token makes stands here, with what it used, what it cost and how long it took; what was asked and answered does not.
          </EmptyState>
        )}
      />
      <RequestDrawer id={search.open} onClose={() => go({ open: undefined }, true)} projects={projects} />
    </Page>
  );
}

/** Links, not scripts: the browser writes the file while it comes, however large it is. */
function Export(props: { search: RequestsSearch; range: HeldRange }) {
  return (
    <Menu position="bottom-end">
      <Menu.Target><Button variant="default" leftSection={<IconDownload size={16} />}>Export</Button></Menu.Target>
      <Menu.Dropdown>
        <Menu.Item component="a" href={exportURL('csv', props.search, props.range)} download="requests.csv">CSV, for a spreadsheet</Menu.Item>
        <Menu.Item component="a" href={exportURL('jsonl', props.search, props.range)} download="requests.jsonl">JSONL, a line for each</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
