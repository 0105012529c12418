import { expect, test } from 'vitest';

import type { Schemas } from '../../api/client';
import { metadataError, newProject, projectChange, valuesOf } from './project';

const was: Schemas['Project'] = {
  project_id: '0', name: 'A', description: 'd', metadata: { team: 'a' }, provider: 'openai', is_active: true, endpoints: ['inference'], key_hint: 'abcd', created_at: '', updated_at: '', revision: 3,
};

test('a change has what changed and nothing else', () => {
  const values = valuesOf(was, 'other');
  expect(projectChange(was, values)).toEqual({});
  expect(projectChange(was, { ...values, name: ' B ', description: '', api_key: 'k', capture: 'full', metadata: [] })).toEqual({ name: 'B', description: null, api_key: 'k', capture: 'full', metadata: {} });
  expect(projectChange({ ...was, capture: 'full' }, values)).toEqual({ capture: null });
});

test('a new project says what was filled in', () => {
  expect(newProject({ ...valuesOf(undefined, 'openai'), name: 'A' })).toEqual({ name: 'A', provider: 'openai', endpoints: ['inference'] });
});

test('metadata needs keys, each once', () => {
  expect(metadataError([{ key: 'a', value: '' }, { key: 'b', value: '' }])).toBeNull();
  expect(metadataError([{ key: ' ', value: 'x' }])).not.toBeNull();
  expect(metadataError([{ key: 'a', value: '' }, { key: 'a ', value: '' }])).not.toBeNull();
});
