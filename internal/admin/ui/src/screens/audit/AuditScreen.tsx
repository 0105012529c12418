import { Button, Menu, Stack, Text } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { getRouteApi } from '@tanstack/react-router';

import { usePages } from '../../api/pages';
import { Page } from '../../app/Page';
import { DataTable } from '../../shared/DataTable';
import { EmptyState } from '../../shared/EmptyState';
import { useHeldRange } from '../../shared/heldRange';
import { useProjectNames, useTokenNames } from '../../shared/names';
import { AuditFilters } from './AuditFilters';
import { auditColumns } from './columns';
import { EntryDrawer } from './EntryDrawer';
import { exportAddress } from './entry';
import type { AuditSearch } from './search';

const route = getRouteApi('/audit');

export function AuditScreen() {
  const { q, outcome, action, actor, project_id, token_id, request_id, entry } = route.useSearch();
  const narrowed = { q, outcome, action, actor, project_id, token_id, request_id };
  const navigate = route.useNavigate();
  const go = (change: AuditSearch, replace = false) => void navigate({ search: (old) => ({ ...old, ...change }), replace });
  const filter = { ...narrowed, ...useHeldRange() };
  const pages = usePages('/manage/audit', filter);
  const names = { projects: useProjectNames(), tokens: useTokenNames(pages.rows.slice(-100).flatMap(({ token_id }) => token_id ?? [])) };
  const filtered = Object.values(narrowed).some((value) => value !== undefined);
  const all = Object.fromEntries(Object.keys(narrowed).map((name) => [name, undefined])) as AuditSearch;

  return (
    <Page title="Audit" actions={<Export filter={filter} />}>
      <AuditFilters search={narrowed} go={go} />
      <DataTable
        label="Audit" pages={pages} id="id" columns={auditColumns((e) => go({ entry: e.id }), names)} onRowClick={(e) => go({ entry: e.id })}
        empty={filtered ? (
          <Stack align="flex-start"><Text>No entry of this time fits.</Text><Button variant="default" onClick={() => go(all)}>Show all</Button></Stack>
        ) : (
          <EmptyState title="Nothing in this time" action={<Button variant="default" onClick={() => void navigate({ search: (old) => ({ ...old, range: '30d', from: undefined, to: undefined }) })}>Show 30 days</Button>} command="llm-proxy manage audit list">
            Here stands who changed what, from this site, the API or the command line, and who was refused it. Choose a longer time to see more.
          </EmptyState>
        )}
      />
      <EntryDrawer id={entry} known={pages.rows} names={names} loading={pages.loading} onClose={() => go({ entry: undefined }, true)} onFilter={(name, value) => go({ [name]: value, entry: undefined })} />
    </Page>
  );
}

/** All entries of the filter and the time as a file, which the browser saves as it comes. */
function Export({ filter }: { filter: Record<string, string | undefined> }) {
  return (
    <Menu position="bottom-end">
      <Menu.Target><Button variant="default" leftSection={<IconDownload size={16} />}>Export</Button></Menu.Target>
      <Menu.Dropdown>
        <Menu.Item component="a" href={exportAddress('csv', filter)} download="audit.csv">CSV, for a spreadsheet</Menu.Item>
        <Menu.Item component="a" href={exportAddress('jsonl', filter)} download="audit.jsonl">JSON lines, for a program</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
