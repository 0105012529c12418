import { Text, Title } from '@mantine/core';

import type { Schemas } from '../../api/client';
import { formatWhole } from '../../shared/format';
import { stretchesOf } from './stretches';
import classes from './Timeline.module.css';

/** Where a request's time went, each stretch where it lay in the whole. */
export function Timeline({ timing }: { timing: Schemas['Timing'] }) {
  const stretches = stretchesOf(timing);
  const whole = Math.max(1, ...stretches.map(({ from, ms }) => from + (ms ?? 0)));
  const share = (ms: number) => `${(100 * ms) / whole}%`;
  return (
    <section aria-label="Timeline">
      <Title order={3} size="h5" mb="xs">Timeline</Title>
      <dl className={classes.rows}>
        {stretches.map(({ label, from, ms, maybe }) => (
          <div key={label} className={classes.row}>
            <Text component="dt" size="sm">{label}</Text>
            <Text component="dd" size="sm" m={0} className={classes.value}>
              <span className={classes.track} aria-hidden>
                {ms !== undefined && <span className={classes.bar} style={{ insetInlineStart: share(from), width: share(ms) }} />}
              </span>
              {ms === undefined && maybe ? 'none, or < 1 ms' : formatWhole(ms)}
            </Text>
          </div>
        ))}
      </dl>
    </section>
  );
}
