import { Code, Group, Text } from '@mantine/core';
import type { ReactNode } from 'react';

import { $api } from '../../api/client';
import { formatCost, formatCount, formatDuration, unknown } from '../../shared/format';
import type { Asked } from './useAsk';

/** The figures of a question: times as this browser saw them, usage as the stream told it, and the cost once the ledger has it. */
export function Figures({ asked, ledger }: { asked: Asked; ledger: boolean }) {
  const over = asked.state !== 'asking';
  const entry = $api.useQuery('get', '/manage/requests/{id}', { params: { path: { id: asked.requestID ?? '' } } }, {
    enabled: ledger && over && !!asked.requestID,
    retry: 30, retryDelay: 1000, // the ledger is written a moment later
  });
  const usage = entry.data?.usage;
  const waiting = entry.isFetching && !entry.data ? '…' : unknown;
  const facts: [string, ReactNode][] = [
    ['Request', asked.requestID ? <Code key="id" className="wrap">{asked.requestID}</Code> : unknown],
    ['Status', asked.status ?? unknown],
    ['First byte', formatDuration(asked.firstByte)],
    ['Latency', over ? formatDuration(asked.total) : '…'],
    ['Input', formatCount(asked.answer.input ?? usage?.input)],
    ['Output', formatCount(asked.answer.output ?? usage?.output)],
    ['Cost', usage?.cost_usd === undefined ? (over ? waiting : '…') : formatCost(usage.cost_usd)],
  ];
  return (
    <Group gap="xl" component="dl" m={0} align="flex-start">
      {facts.map(([label, value]) => (
        <div key={label}><Text component="dt" size="xs" c="dimmed">{label}</Text><Text component="dd" m={0} fw={600}>{value}</Text></div>
      ))}
    </Group>
  );
}
