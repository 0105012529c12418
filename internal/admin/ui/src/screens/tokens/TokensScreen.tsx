import { Button, Group, Select, Stack, Text } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { getRouteApi } from '@tanstack/react-router';
import { useState } from 'react';

import { useInfo } from '../../api/info';
import { usePages } from '../../api/pages';
import { Page } from '../../app/Page';
import { DataTable } from '../../shared/DataTable';
import { EmptyState } from '../../shared/EmptyState';
import { formatCount } from '../../shared/format';
import { ProjectSelect, useProject } from '../../shared/projects';
import { SearchField } from '../../shared/SearchField';
import { tokenColumns } from './columns';
import { CreateToken } from './CreateToken';
import { orders, statuses, withins, type Order, type TokensSearch } from './search';
import { titleOf } from './token';
import { useTokenActions } from './useTokenActions';

const route = getRouteApi('/tokens');
const nothing: ReadonlySet<string> = new Set();

export function TokensScreen() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const [chosen, choose] = useState(nothing);
  const go = (change: TokensSearch, replace = false) => {
    choose(nothing);
    void navigate({ search: (old) => ({ ...old, ...change }), replace });
  };
  const closeForm = () => go({ create: undefined }, true); // the way back does not open it again, least of all below a new secret
  const pages = usePages('/manage/tokens', { q: search.q, project_id: search.project, status: search.status, expiring_within: search.within, sort: search.sort });
  const project = useProject(search.project);
  const act = useTokenActions({ onRevoked: () => choose(nothing) });
  const filtered = !!(search.q || search.project || search.status || search.within);
  const create = <Button leftSection={<IconPlus size={16} />} onClick={() => go({ create: true })}>Create token</Button>;

  return (
    <Page title="Tokens" actions={create}>
      <Group>
        <SearchField label="Search by name or id" value={search.q ?? ''} onSearch={(q) => go({ q: q || undefined })} />
        <ProjectSelect aria-label="Project" placeholder="All projects" clearable value={search.project} onChange={(id) => go({ project: id })} />
        <Select
          aria-label="State" placeholder="All states" clearable w={150} data={[...statuses]} value={search.status ?? null}
          onChange={(status) => go({ status: statuses.find((one) => one === status) })}
        />
        <Select
          aria-label="Expires" placeholder="Any expiry" clearable w={170} data={withins.map((value) => ({ value, label: `Expires within ${value}` }))} value={search.within ?? null}
          onChange={(within) => go({ within: withins.find((one) => one === within) })}
        />
        <Select
          aria-label="Sorted by" placeholder="Newest first" clearable w={160} data={Object.entries(orders).map(([value, label]) => ({ value, label }))} value={search.sort ?? null}
          onChange={(sort) => go({ sort: (sort as Order | null) ?? undefined })}
        />
        {project && <Button variant="default" c="red" onClick={() => act.revokeProject(project)}>Revoke all of the project</Button>}
      </Group>
      <Chosen count={chosen.size} onRevoke={() => act.revoke(pages.rows.filter(({ id }) => chosen.has(id)))} onNone={() => choose(nothing)} />
      <DataTable
        label="Tokens" pages={pages} id="id" columns={tokenColumns(act)} onRowClick={({ id }) => void navigate({ to: '/tokens/$id', params: { id } })}
        selection={{ ids: chosen, onChange: choose, can: ({ status }) => status !== 'revoked', nameOf: titleOf }}
        empty={filtered ? <Stack align="flex-start"><Text>No token fits.</Text><Button variant="default" onClick={() => go({ q: undefined, project: undefined, status: undefined, within: undefined })}>Show all</Button></Stack> : (
          <EmptyState title="No token yet" action={create} command="llm-proxy manage token generate --project Team-A --duration-minutes 60 --max-requests 500">
            A token is what you give out instead of the provider key: it belongs to a project, ends by itself, and can be capped and revoked. Clients use it as their API key.
          </EmptyState>
        )}
      />
      <CreateToken opened={!!search.create} project={search.project} onClose={closeForm} onMinted={(minted) => { closeForm(); act.show(minted); }} />
      {act.dialogs}
    </Page>
  );
}

/** What can be done to the tokens that were chosen. */
function Chosen({ count, onRevoke, onNone }: { count: number; onRevoke: () => void; onNone: () => void }) {
  const most = useInfo().data?.limits.revoke_batch;
  if (count === 0) {
    return null;
  }
  const tooMany = most !== undefined && count > most;
  return (
    <Group role="status">
      <Text size="sm" fw={600}>{formatCount(count)} chosen</Text>
      <Button size="xs" color="red" disabled={tooMany} onClick={onRevoke}>Revoke them</Button>
      <Button size="xs" variant="default" onClick={onNone}>Choose none</Button>
      {tooMany && <Text size="sm">At most {formatCount(most)} at once.</Text>}
    </Group>
  );
}
