import '@mantine/charts/styles.css';

import { BarChart } from '@mantine/charts';
import dayjs from 'dayjs';

import { formatCount, formatShort } from '../../shared/format';
import type { Bar } from './usage';

/** Requests by hour or day. A chunk of its own, as charts are large; what it shows stands in words beside it. */
export default function UsageChart({ bars, bucket }: { bars: Bar[]; bucket: 'hour' | 'day' }) {
  const form = bucket === 'hour' ? 'MMM D, HH:mm' : 'MMM D';
  return (
    <div role="img" aria-label={`Requests by ${bucket}`}>
      <BarChart
        h={220} type="stacked" dataKey="label" withLegend data={bars.map((bar) => ({ ...bar, label: dayjs(bar.start).format(form) }))} valueFormatter={formatCount}
        series={[{ name: 'answered', label: 'Answered', color: 'indigo.6' }, { name: 'errors', label: 'Errors', color: 'red.6' }]}
        yAxisProps={{ allowDecimals: false, tickFormatter: formatShort }} barProps={{ isAnimationActive: false }} barChartProps={{ accessibilityLayer: false }}
      />
    </div>
  );
}
