/** What the address of the audit screen says, beside the time range: ?outcome=refused&action=authenticate&entry=<id of the open one> */
export interface AuditSearch {
  q?: string;
  outcome?: 'done' | 'refused';
  action?: string;
  actor?: string;
  project_id?: string;
  token_id?: string;
  request_id?: string;
  entry?: string;
}

/** What narrows the list to an exact value, in the order of the form. */
export const exactFilters = { actor: 'Actor', project_id: 'Project id', token_id: 'Token id', request_id: 'Request id' } as const;
export type ExactFilter = keyof typeof exactFilters;

export const isID = (text: string) => /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text);

export function parseAuditSearch(search: Record<string, unknown>): AuditSearch {
  const text = (x: unknown, longest: number) => {
    const s = typeof x === 'string' || typeof x === 'number' ? String(x) : ''; // the address has numbers as numbers
    return s.length > 0 && s.length <= longest ? s : undefined;
  };
  const id = (x: unknown) => (typeof x === 'string' && isID(x) ? x : undefined);
  return {
    q: text(search.q, 100),
    outcome: search.outcome === 'done' || search.outcome === 'refused' ? search.outcome : undefined,
    action: text(search.action, 100),
    actor: text(search.actor, 200),
    project_id: id(search.project_id),
    token_id: id(search.token_id),
    request_id: text(search.request_id, 100),
    entry: id(search.entry),
  };
}
