import type { Schemas } from '../../api/client';
import { formatDuration, unknown } from '../../shared/format';

export type Destination = Schemas['Destination'];

/** What a state means, in a tone and a sentence. */
export const states: Record<Destination['state'], { tone: 'good' | 'bad' | 'warn' | 'off' | 'info'; means: string }> = {
  ok: { tone: 'good', means: 'It takes what it is sent.' },
  failing: { tone: 'bad', means: 'The last try failed. Events are kept and tried again.' },
  elsewhere: { tone: 'info', means: 'Another process delivers to it and knows how it goes.' },
  stopped: { tone: 'warn', means: 'Nobody delivers to it now. Events are kept.' },
};

/** How long the oldest has waited. An age that is not told is unknown where something may wait, as behind a queue on AWS. */
export function oldestWaiting({ backlog, oldest_age_ms }: Pick<Destination, 'backlog' | 'oldest_age_ms'>): string {
  return oldest_age_ms != null ? `for ${formatDuration(oldest_age_ms)}` : backlog === 0 ? 'none' : unknown;
}

/** What stands in place of a last delivery that is not told: a queue on AWS never tells it, whatever was delivered. */
export const untoldDelivery = ({ delivered }: Pick<Destination, 'delivered'>): string => (delivered === 0 ? 'never' : unknown);

/** What became of a test event, in a sentence. */
export function testResult(name: string, { result, error }: Schemas['DestinationTest']): { good: boolean; text: string } {
  const why = error ? `: ${error}` : '.';
  switch (result) {
    case 'delivered':
      return { good: true, text: `${name} has taken the test event.` };
    case 'queued':
      return { good: true, text: `The test event for ${name} waits among the others.` };
    case 'refused':
      return { good: false, text: `${name} will never take the test event${why}` };
    case 'failed':
      return { good: false, text: `${name} did not take the test event now${why}` };
  }
}
