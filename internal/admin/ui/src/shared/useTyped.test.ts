// @vitest-environment jsdom
import { act, cleanup, renderHook } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { rest, useTyped } from './useTyped';

beforeEach(() => { vi.useFakeTimers(); });
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

function field() {
  const told: string[] = [];
  const { result, rerender } = renderHook(({ value }) => useTyped(value, (text) => told.push(text)), { initialProps: { value: '' } });
  const type = (text: string) => act(() => result.current[1](text));
  const wait = () => act(() => vi.advanceTimersByTime(rest));
  return { told, type, wait, shows: () => result.current[0], address: (value: string) => rerender({ value }) };
}

test('what is typed is told of when typing rests, without the spaces around it', () => {
  const f = field();
  f.type('a');
  f.type('ab ');
  expect(f.told).toEqual([]);
  f.wait();
  expect(f.told).toEqual(['ab']);
  f.address('ab');
  expect(f.shows()).toBe('ab ');
});

test('an address that comes late takes back nothing that was typed since', () => {
  const f = field();
  f.type('jo');
  f.wait();
  f.type('job');
  f.wait();
  f.type('job 4');
  f.address('jo');
  f.address('job');
  expect(f.shows()).toBe('job 4');
});

test('an address that changes by itself is what the field shows', () => {
  const f = field();
  f.type('jo');
  f.wait();
  f.address('jo');
  f.address('');
  expect(f.shows()).toBe('');
  f.address('jo');
  expect(f.shows()).toBe('jo');
});
