import { useEffect, useRef, useState, type RefObject } from 'react';

/** How far below the edge of the window something is drawn already, in pixels. */
const ahead = 100;
/** How long something out of sight waits for a browser that has no moment for it or does not say when it has, in milliseconds. */
const aside = 500;

/** Whether it is the turn of something that takes long to draw: what is seen comes first, the rest when the browser has nothing else to do. */
export function useTurn<E extends Element>(): [RefObject<E | null>, boolean] {
  const place = useRef<E>(null);
  const [turn, setTurn] = useState(false);
  useEffect(() => {
    if (turn || !place.current) {
      return undefined;
    }
    const observer = new IntersectionObserver((entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) {
        setTurn(true);
      }
    }, { rootMargin: `${ahead}px` });
    observer.observe(place.current);
    const cancel = whenIdle(() => setTurn(true));
    return () => {
      observer.disconnect();
      cancel();
    };
  }, [turn]);
  return [place, turn];
}

function whenIdle(run: () => void): () => void {
  if (typeof window.requestIdleCallback === 'function') {
    const one = window.requestIdleCallback(run, { timeout: aside });
    return () => window.cancelIdleCallback(one);
  }
  const one = setTimeout(run, aside);
  return () => clearTimeout(one);
}
