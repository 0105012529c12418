import 'mantine-datatable/styles.css';

import { Button, Center, Stack, Text } from '@mantine/core';
import { DataTable as MantineDataTable, type DataTableColumn } from 'mantine-datatable';
import { useCallback, type ReactNode } from 'react';

import type { Pages } from '../api/pages';
import { formatCount } from './format';
import { ProblemAlert } from './ProblemAlert';
import { TableSkeleton } from './Skeletons';

interface Props<Row> {
  label: string; // names the table: "Projects"
  pages: Pages<Row>; // of usePages
  columns: DataTableColumn<Row>[];
  id: keyof Row & string;
  empty: ReactNode; // an EmptyState, or a line that no row fits the filter
  onRowClick?: (row: Row) => void; // for the mouse; a link or button in the row does the same for the keyboard
  selection?: Selection<Row>;
}

/** Rows that are chosen, to do something to all of them. */
interface Selection<Row> {
  ids: ReadonlySet<string>;
  onChange: (ids: ReadonlySet<string>) => void;
  can: (row: Row) => boolean; // whether a row can be chosen
  nameOf: (row: Row) => string; // names its checkbox
}

/** A list of the API: skeletons while it comes, the problem with a retry, `empty`, or the rows, page after page. */
export function DataTable<Row extends object>({ label, pages, columns, id, empty, onRowClick, selection }: Props<Row>) {
  const name = useCallback((table: HTMLTableElement | null) => table?.setAttribute('aria-label', label), [label]); // the table takes no such prop
  const { rows, loading, fetching, error, more, loadMore, refetch } = pages;
  if (loading) {
    return <TableSkeleton label={label} />;
  }
  if (error && rows.length === 0) {
    return <ProblemAlert error={error} retry={refetch} />;
  }
  if (rows.length === 0 && !more) {
    return empty;
  }
  return (
    <Stack gap="sm">
      <ProblemAlert error={error} retry={refetch} />
      <MantineDataTable
        withTableBorder verticalSpacing="sm" highlightOnHover={!!onRowClick} idAccessor={id} columns={columns} records={rows} minHeight={rows.length === 0 ? 120 : 0}
        tableRef={name} scrollAreaProps={{ viewportProps: { tabIndex: 0, role: 'region', 'aria-label': label } }}
        {...(onRowClick ? { onRowClick: ({ record }: { record: Row }) => onRowClick(record) } : {})}
        {...(selection ? selectionProps(selection, rows, id) : {})}
      />
      <Center>
        {more ? (
          <Button variant="default" onClick={loadMore} loading={fetching}>Show more</Button>
        ) : (
          <Text size="sm" c="dimmed">{formatCount(rows.length)} in all</Text>
        )}
      </Center>
    </Stack>
  );
}

const selectionProps = <Row extends object>({ ids, onChange, can, nameOf }: Selection<Row>, rows: Row[], id: keyof Row & string) => ({
  selectedRecords: rows.filter((row) => ids.has(String(row[id]))),
  onSelectedRecordsChange: (chosen: Row[]) => onChange(new Set(chosen.map((row) => String(row[id])))),
  isRecordSelectable: can,
  getRecordSelectionCheckboxProps: (row: Row) => ({ 'aria-label': `Choose ${nameOf(row)}` }),
  allRecordsSelectionCheckboxProps: { 'aria-label': 'Choose all that are shown' },
});
