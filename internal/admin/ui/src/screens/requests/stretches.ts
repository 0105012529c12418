import type { Schemas } from '../../api/client';

/** A stretch of a request's time, in milliseconds since its head had come. */
export interface Stretch {
  label: string;
  from: number;
  ms: number | undefined; // undefined: below a millisecond
  maybe?: boolean; // or there was no such stretch: a request that is refused asks no provider
}

/**
 * The stretches of a request. What is known are durations: the spend (auth) comes first, first byte and total begin with the request, and the
 * call of the provider ends with the answer, so its beginning is where its length leaves it.
 */
export function stretchesOf({ auth_ms, upstream_ms, first_byte_ms, total_ms }: Schemas['Timing']): Stretch[] {
  return [
    { label: 'Auth', from: 0, ms: auth_ms, maybe: true },
    { label: 'Upstream', from: total_ms === undefined || upstream_ms === undefined ? 0 : Math.max(0, total_ms - upstream_ms), ms: upstream_ms, maybe: true },
    { label: 'First byte', from: 0, ms: first_byte_ms, maybe: true },
    { label: 'Total', from: 0, ms: total_ms },
  ];
}
