import { Button, Text } from '@mantine/core';
import { getRouteApi, Link } from '@tanstack/react-router';

import { $api } from '../../api/client';
import { useInfo } from '../../api/info';
import { Page } from '../../app/Page';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { TableSkeleton } from '../../shared/Skeletons';
import { titleOf, type Token } from '../tokens/token';
import { useTokenActions } from '../tokens/useTokenActions';
import { TokenAudit } from './TokenAudit';
import { TokenFacts } from './TokenFacts';
import { TokenRequests } from './TokenRequests';
import { TokenUsage } from './TokenUsage';

const route = getRouteApi('/tokens/$id');

/** All about one token. */
export function TokenScreen() {
  const { id } = route.useParams();
  const { data, error, refetch } = $api.useQuery('get', '/manage/tokens/{id}', { params: { path: { id } } });
  if (data) {
    return <Shown token={data} />;
  }
  return <Page title="Token">{error ? <><ProblemAlert error={error} retry={() => void refetch()} /><Link to="/tokens">All tokens</Link></> : <TableSkeleton label="the token" />}</Page>;
}

function Shown({ token }: { token: Token }) {
  const act = useTokenActions();
  const ledger = useInfo().data?.ledger;
  const actions = token.status !== 'revoked' && (
    <>
      <Button variant="default" onClick={() => act.edit(token)}>Extend or change</Button>
      <Button variant="default" disabled={token.status === 'expired'} onClick={() => act.rotate(token)}>Rotate</Button>
      <Button color="red" onClick={() => act.revoke([token])}>Revoke</Button>
    </>
  );
  return (
    <Page title={titleOf(token)} actions={actions}>
      <TokenFacts token={token} />
      {ledger && <TokenUsage id={token.id} />}
      {ledger && <TokenRequests id={token.id} />}
      {ledger === false && <Text c="dimmed">This installation keeps no ledger: what its tokens use is told in events alone.</Text>}
      <TokenAudit id={token.id} />
      {act.dialogs}
    </Page>
  );
}
