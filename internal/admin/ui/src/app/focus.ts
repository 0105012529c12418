// Where the focus was on the page, below what opens over it. A dialog gives it back to what had it when the dialog opened; that has gone by
// then where it was an item of a menu, or another dialog.
let last: HTMLElement | undefined;

/** Remembers where on the page the focus is. What opens over it does not count. */
export function rememberFocus(): () => void {
  const root = document.getElementById('root');
  const remember = ({ target }: FocusEvent) => {
    if (target instanceof HTMLElement && !target.closest('[role="menu"], [role="dialog"]')) {
      last = target;
    }
  };
  root?.addEventListener('focusin', remember);
  return () => root?.removeEventListener('focusin', remember);
}

/** Where nothing has the focus after a dialog has gone, what had it on the page has it again; where that cannot, the content of the page. */
export function returnFocus(): void {
  setTimeout(() => { // a moment later: the dialog, or the next one, comes first
    for (const place of [last, document.querySelector('main')]) {
      if (document.activeElement === document.body) {
        place?.focus({ preventScroll: true });
      }
    }
  }, 20);
}
