/** What the address of the projects screen says: ?q=team&active=true&edit=<id> or edit=new */
export interface ProjectsSearch {
  q?: string;
  active?: boolean;
  edit?: string;
}

export function parseProjectsSearch(search: Record<string, unknown>): ProjectsSearch {
  return {
    q: typeof search.q === 'string' || typeof search.q === 'number' ? String(search.q) : undefined,
    active: typeof search.active === 'boolean' ? search.active : undefined,
    edit: typeof search.edit === 'string' ? search.edit : undefined,
  };
}
