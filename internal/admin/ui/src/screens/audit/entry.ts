import type { Schemas } from '../../api/client';

export type Entry = Schemas['AuditEntry'];

/** The actions that are told of, as the API names them. */
export const actions = [
  'authenticate',
  'session.create', 'session.end',
  'project.create', 'project.update', 'project.activate', 'project.deactivate', 'project.delete', 'project.revoke_tokens',
  'token.create', 'token.update', 'token.rotate', 'token.revoke',
  'destination.test', 'destination.redrive',
];

/** A field as it was and as it is; undefined where it was not there. */
export interface Change {
  field: string;
  before: string | undefined;
  after: string | undefined;
}

export function changesOf(entry: Pick<Entry, 'before' | 'after'>): Change[] {
  const fields = new Set([...Object.keys(entry.before), ...Object.keys(entry.after)]);
  return [...fields].sort().map((field) => ({ field, before: entry.before[field], after: entry.after[field] }));
}

/** Where an export is had: all that the filter lets through, as a file. */
export function exportAddress(format: 'csv' | 'jsonl', filter: Record<string, string | undefined>): string {
  const query = new URLSearchParams({ format });
  for (const [name, value] of Object.entries(filter)) {
    if (value) {
      query.set(name, value);
    }
  }
  return `/manage/audit?${query}`;
}
