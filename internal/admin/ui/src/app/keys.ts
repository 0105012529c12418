import { useNavigate } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';

import { nav } from './nav';

/** How long the second key of a sequence may take, in milliseconds. */
const patience = 1500;

/** The keys that work on every screen: `/` goes to its search field (the one with `data-search`), `?` shows help, `g` and a letter go to a screen. */
export function useKeys({ onHelp }: { onHelp: () => void }): void {
  const navigate = useNavigate();
  const help = useRef(onHelp);
  help.current = onHelp;
  useEffect(() => {
    let began = -Infinity; // when g was pressed, on the clock of events: a page that is busy takes nothing from the patience
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement | null;
      const typing = target?.closest('input, textarea, select, [contenteditable="true"]');
      if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('[role="dialog"]')) {
        began = -Infinity;
        return;
      }
      const sequence = event.timeStamp - began < patience;
      began = -Infinity;
      const item = sequence && nav.find(({ key }) => key === event.key);
      if (item) {
        void navigate({ to: item.to });
      } else if (event.key === 'g') {
        began = event.timeStamp;
      } else if (event.key === '?') {
        help.current();
      } else if (event.key === '/') {
        const search = document.querySelector<HTMLInputElement>('[data-search]');
        search?.focus();
        search?.select();
        if (!search) {
          return;
        }
      } else {
        return;
      }
      event.preventDefault();
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, [navigate]);
}
