import { Anchor, Text } from '@mantine/core';
import type { DataTableColumn } from 'mantine-datatable';
import { Fragment, type ReactNode } from 'react';

import { nameOf, type Names } from '../../shared/names';
import { StatusBadge } from '../../shared/StatusBadge';
import { Time } from '../../shared/Time';
import { changesOf, type Entry } from './entry';

export function auditColumns(open: (e: Entry) => void, names: { projects: Names; tokens: Names }): DataTableColumn<Entry>[] {
  return [
    { accessor: 'time', title: 'When', width: 140, render: (e) => <Time at={e.time} /> },
    {
      accessor: 'action', title: 'Action', width: 190,
      render: (e) => <Anchor component="button" inherit ta="start" className="wrap" onClick={(event) => { event.stopPropagation(); open(e); }}>{e.action}</Anchor>,
    },
    { accessor: 'outcome', title: 'Outcome', width: 110, render: (e) => <StatusBadge tone={e.outcome === 'done' ? 'good' : 'bad'}>{e.outcome}</StatusBadge> },
    { accessor: 'actor', title: 'Who', width: 180, render: (e) => <span className="wrap">{e.actor}</span> },
    { accessor: 'about', title: 'About', width: 200, render: (e) => <About entry={e} {...names} /> },
    { accessor: 'what', title: 'What', render: (e) => <Text size="sm" className="wrap" lineClamp={2}>{summary(e)}</Text> },
  ];
}

/** The token or the project that an entry is about, by its name. */
function About({ entry: e, projects, tokens }: { entry: Entry; projects: Names; tokens: Names }) {
  return (
    <Text size="sm" className="wrap" component="div">
      {e.token_id && <div title={e.token_id}>Token {nameOf(tokens, e.token_id)}</div>}
      {e.project_id && <div title={e.project_id}>{e.token_id ? 'of' : 'Project'} {nameOf(projects, e.project_id)}</div>}
    </Text>
  );
}

/** An entry in a line: why it was refused, else what has changed. */
function summary(e: Entry): ReactNode {
  if (e.outcome === 'refused') {
    return [e.reason, e.suppressed ? `and ${e.suppressed} more` : ''].filter(Boolean).join(', ') || 'no reason given';
  }
  return changesOf(e).map(({ field, before, after }, i) => (
    <Fragment key={field}>{i > 0 && '; '}{field}: {before !== undefined && <><bdi>{before}</bdi> → </>}<bdi>{after ?? 'none'}</bdi></Fragment>
  ));
}
