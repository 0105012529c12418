import { Code, Paper, Stack, Table, Text, Title } from '@mantine/core';

import { useInfo, type Info } from '../../api/info';
import { Page } from '../../app/Page';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { TableSkeleton } from '../../shared/Skeletons';
import { installation, limits, ofProvider, retention, type Fact } from './facts';
import classes from './Settings.module.css';

/** How this installation is set. Settings are those of the process or the stack: nobody changes them from here. */
export function SettingsScreen() {
  const { data, error, refetch } = useInfo();
  return (
    <Page title="Settings">
      <Text>As the server says it. To change something, change its flags or environment, or the parameters of the stack, and start it anew.</Text>
      <ProblemAlert error={error} retry={() => void refetch()} />
      {!data && !error && <TableSkeleton label="Settings" />}
      {data && (
        <>
          <div className={classes.cards}>
            <Facts title="Installation" facts={installation(data, window.location.origin)} />
            <Facts title="Limits" facts={limits(data)} />
            <Facts title="Kept for" facts={retention(data)} />
          </div>
          {data.providers.map((p) => <Provider key={p.name} provider={p} usual={p.name === data.default_provider} />)}
        </>
      )}
    </Page>
  );
}

function Facts({ title, facts }: { title: string; facts: Fact[] }) {
  return (
    <Paper withBorder p="md" component="section" aria-label={title}>
      <Stack gap="sm">
        <Title order={2} size="h4" className="wrap">{title}</Title>
        <dl className={classes.list}>{facts.flatMap(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name}:`}>{value}</dd>])}</dl>
      </Stack>
    </Paper>
  );
}

function Provider({ provider, usual }: { provider: Info['providers'][number]; usual: boolean }) {
  const title = `Provider ${provider.name}${usual ? ' (default)' : ''}`;
  const name = `Endpoints of ${provider.name}`;
  return (
    <div className={classes.cards}>
      <Facts title={title} facts={ofProvider(provider)} />
      <Paper withBorder p="md">
        <Stack gap="sm">
          <Title order={3} size="h5" className="wrap">{name}</Title>
          <Table.ScrollContainer minWidth={0} maxHeight={420} scrollAreaProps={{ viewportProps: { tabIndex: 0, role: 'region', 'aria-label': name } }}>
            <Table stickyHeader>
              <Table.Thead><Table.Tr><Table.Th>Method</Table.Th><Table.Th>Path</Table.Th><Table.Th>Group</Table.Th></Table.Tr></Table.Thead>
              <Table.Tbody>
                {provider.endpoints.map((e) => (
                  <Table.Tr key={`${e.methods.join()} ${e.path}`}><Table.Td>{e.methods.join(', ')}</Table.Td><Table.Td className="wrap"><Code>{e.path}</Code></Table.Td><Table.Td>{e.group}</Table.Td></Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        </Stack>
      </Paper>
    </div>
  );
}
