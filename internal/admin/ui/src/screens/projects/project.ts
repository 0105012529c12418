import type { Schemas } from '../../api/client';

/** The fields of the form. */
export interface ProjectValues {
  name: string;
  description: string;
  provider: string;
  api_key: string; // empty: as it is
  api_key_ref: string;
  capture: '' | 'full' | 'metadata'; // empty: as the installation is set
  endpoints: ('inference' | 'stored')[];
  metadata: { key: string; value: string }[];
  [field: string]: unknown;
}

export const projectFields = ['name', 'description', 'provider', 'api_key', 'api_key_ref', 'capture', 'endpoints', 'metadata'] as const;

export function valuesOf(p: Schemas['Project'] | undefined, defaultProvider: string): ProjectValues {
  return {
    name: p?.name ?? '',
    description: p?.description ?? '',
    provider: p?.provider ?? defaultProvider,
    api_key: '',
    api_key_ref: p?.api_key_ref ?? '',
    capture: p?.capture ?? '',
    endpoints: p?.endpoints ?? ['inference'],
    metadata: Object.entries(p?.metadata ?? {}).map(([key, value]) => ({ key, value })),
  };
}

/** What is wrong with the metadata rows, which the server only sees as an object. */
export function metadataError(rows: ProjectValues['metadata']): string | null {
  const keys = rows.map(({ key }) => key.trim());
  if (keys.some((key) => key === '')) {
    return 'Each entry needs a key';
  }
  return new Set(keys).size < keys.length ? 'Each key can be there once' : null;
}

const metadataOf = (rows: ProjectValues['metadata']) => Object.fromEntries(rows.map(({ key, value }) => [key.trim(), value]));

export function newProject(v: ProjectValues): Schemas['NewProject'] {
  return {
    name: v.name.trim(),
    provider: v.provider,
    ...(v.description && { description: v.description }),
    ...(v.api_key && { api_key: v.api_key }),
    ...(v.api_key_ref && { api_key_ref: v.api_key_ref }),
    ...(v.capture && { capture: v.capture }),
    ...(v.metadata.length > 0 && { metadata: metadataOf(v.metadata) }),
    endpoints: v.endpoints,
  };
}

/** What of a project has changed: a field that is absent stays as it is, whoever else has changed it. */
export function projectChange(was: Schemas['Project'], v: ProjectValues): Schemas['ProjectChange'] {
  const before = valuesOf(was, was.provider);
  const differs = (field: keyof ProjectValues) => JSON.stringify(before[field]) !== JSON.stringify(v[field]);
  return {
    ...(differs('name') && { name: v.name.trim() }),
    ...(differs('description') && { description: v.description || null }),
    ...(differs('provider') && { provider: v.provider }),
    ...(v.api_key && { api_key: v.api_key }),
    ...(v.api_key_ref && differs('api_key_ref') && { api_key_ref: v.api_key_ref }),
    ...(differs('capture') && { capture: v.capture || null }),
    ...(differs('endpoints') && { endpoints: v.endpoints }),
    ...(differs('metadata') && { metadata: metadataOf(v.metadata) }),
  };
}
