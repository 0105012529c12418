import { expect, test, vi } from 'vitest';

import { Problem } from '../api/problem';
import { takeFieldErrors } from './formErrors';

const problem = (...errors: { field: string; message: string }[]) => new Problem({ status: 400, title: 'Bad Request', detail: 'The request cannot be taken.', errors });
const take = (p: unknown) => {
  const setFieldError = vi.fn();
  return { rest: takeFieldErrors({ setFieldError }, ['name', 'metadata'] as never[], p), said: setFieldError.mock.calls };
};

test('errors of fields go to the fields, by name and below it', () => {
  expect(take(problem({ field: 'name', message: 'is required' }, { field: 'metadata.team', message: 'is too long' }))).toEqual({
    rest: undefined, said: [['name', 'Is required'], ['metadata', 'Is too long']],
  });
});

test('what no field of the form has is left over', () => {
  const { rest, said } = take(problem({ field: 'name', message: 'is required' }, { field: 'other', message: 'is odd' }));
  expect(said).toEqual([['name', 'Is required']]);
  expect(rest?.errors).toEqual([{ field: 'other', message: 'is odd' }]);
});

test('a problem that names no field is left over as it is', () => {
  expect(take(problem()).rest?.detail).toBe('The request cannot be taken.');
  expect(take(new TypeError('Failed to fetch')).rest?.detail).toContain('does not answer');
});
