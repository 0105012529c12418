import '@mantine/charts/styles.css';

import { AreaChart, BarChart, ChartTooltip } from '@mantine/charts';
import { ColorSwatch, Group, Text } from '@mantine/core';
import { memo, type ComponentProps, type ReactNode } from 'react';
import type { BarShapeProps } from 'recharts';

import type { Point } from './points';
import { useTurn } from './useTurn';

interface Props {
  label: string; // says what it shows to who does not see it
  points: Point[];
  series: { name: string; label: string; color?: string }[]; // without a colour it has one of the row's
  when: (start: string) => string;
  format: (value: number) => string;
}

const height = 220; // pixels
const colors = ['indigo.6', 'teal.6', 'orange.6', 'grape.6', 'cyan.6', 'pink.6', 'gray.6'];
const coloured = (series: Props['series']) => series.map((one, i) => ({ ...one, color: one.color ?? colors[i % colors.length]! }));

/** What both have in common: no animation, and texts that are made of names, never of markup. */
function common({ points, series, when, format }: Props) {
  const all = coloured(series);
  const tooltip: ComponentProps<typeof BarChart>['tooltipProps'] = {
    isAnimationActive: false,
    content: ({ label, payload }) => <ChartTooltip label={label === undefined ? '' : when(String(label))} payload={[...(payload ?? [])]} series={all} valueFormatter={format} />,
  };
  return {
    h: height, data: points, dataKey: 'start', valueFormatter: format, series: all,
    xAxisProps: { tickFormatter: when, minTickGap: 30 }, yAxisProps: { width: 70 }, tooltipProps: tooltip,
  };
}

/** A chart above its legend, which has as much room as its names need. */
function Figure({ label, series, children }: { label: string; series: Props['series']; children: ReactNode }) {
  const [place, turn] = useTurn<HTMLDivElement>();
  return (
    <div role="figure" aria-label={label}>
      <div ref={place} style={{ height }}>{turn && children}</div>
      <Group component="ul" gap="md" m={0} p={0} mt="xs" style={{ listStyle: 'none', rowGap: 4 }} aria-label="Legend">
        {coloured(series).map((one) => (
          <Group component="li" key={one.name} gap={6} wrap="nowrap">
            <ColorSwatch size={12} color={`var(--mantine-color-${one.color.replace('.', '-')})`} aria-hidden />
            <Text size="xs" className="wrap">{one.label}</Text>
          </Group>
        ))}
      </Group>
    </div>
  );
}

/** Figures that add up, one above the other. It is drawn anew only where it is given something else. */
export const StackChart = memo(function StackChart(props: Props) {
  return <Figure {...props}><BarChart {...common(props)} type="stacked" barProps={{ isAnimationActive: false, shape: Bar }} /></Figure>;
});

/** A bar as it is: the library's own can grow, has round corners and asks for its length, hundreds of times in a chart. */
function Bar({ x, y, width, height, fill, fillOpacity }: BarShapeProps) {
  return height ? <rect {...{ x, y, width, height, fill, fillOpacity }} /> : null;
}

/** Durations, each by itself; where nobody asked there is a gap. Drawn anew as the other is. */
export const TimesChart = memo(function TimesChart(props: Props) {
  return <Figure {...props}><AreaChart {...common(props)} fillOpacity={0.08} connectNulls={false} curveType="linear" areaProps={{ isAnimationActive: false }} /></Figure>;
});
