import { useSyncExternalStore } from 'react';

import { problemOf, toProblem, type Problem } from '../api/problem';

const path = '/admin/api/session';

/** Whether somebody has signed in, as far as this page knows. The secret of a session is in a cookie that no script can read. */
export type Session =
  | { state: 'asking' }
  | { state: 'unknown'; problem: Problem } // the server did not answer
  | { state: 'out'; why: 'fresh' | 'ended' | 'left' }
  | { state: 'in'; user: string; expiresAt: Date };

let current: Session = { state: 'asking' };
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setTimeout> | undefined;

/** The other windows of the site: who signs out in one has signed out in all. */
const windows = new BroadcastChannel('llm-proxy.session');
windows.onmessage = () => set({ state: 'out', why: 'left' });

function set(next: Session): void {
  current = next;
  clearTimeout(timer);
  if (next.state === 'in') { // use moves the end, here or in another tab; so the server is asked at what was the end
    const wait = next.expiresAt.getTime() - Date.now() + 2_000;
    timer = setTimeout(() => void askSession(), Math.min(Math.max(wait, 10_000), 2 ** 31 - 1));
  }
  listeners.forEach((tell) => tell());
}

/** Asks the server who has signed in. */
export async function askSession(): Promise<void> {
  try {
    const response = await window.fetch(path, { credentials: 'same-origin' });
    if (response.ok) {
      const { user, expires_at } = (await response.json()) as { user: string; expires_at: string };
      set({ state: 'in', user, expiresAt: new Date(expires_at) });
    } else if (response.status === 401) {
      sessionEnded();
    } else {
      failed(await problemOf(response));
    }
  } catch (thrown) {
    failed(toProblem(thrown));
  }
}

function failed(problem: Problem): void {
  if (current.state !== 'in') {
    set({ state: 'unknown', problem });
  } else {
    set(current); // asked again later; what is on the screen says that the server does not answer
  }
}

/** A request was answered with 401: nobody is signed in any more. */
export function sessionEnded(): void {
  if (current.state !== 'out') {
    set({ state: 'out', why: current.state === 'in' ? 'ended' : 'fresh' });
  }
}

/** Throws a Problem where the two are wrong, or were wrong too often. */
export async function signIn(user: string, password: string): Promise<void> {
  const response = await window
    .fetch(path, { method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ user, password }) })
    .catch((thrown: unknown) => { throw toProblem(thrown); });
  if (!response.ok) {
    throw await problemOf(response);
  }
  await askSession();
}

/** Ends the session on the server. Throws a Problem where that did not happen: then it is still good. */
export async function signOut(): Promise<void> {
  const response = await window.fetch(path, { method: 'DELETE', credentials: 'same-origin' }).catch((thrown: unknown) => { throw toProblem(thrown); });
  if (!response.ok) {
    throw await problemOf(response);
  }
  set({ state: 'out', why: 'left' });
  windows.postMessage('left');
}

export function useSession(): Session {
  return useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => void listeners.delete(tell);
    },
    () => current,
  );
}
