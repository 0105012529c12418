import { lazy, useState, type ComponentProps } from 'react';

// The charts are large: their code comes when there is something to draw. React holds back what follows a placeholder for a third of a
// second, so code that has come already is used without one.

type Charts = typeof import('./StackChart');
let there: Charts | undefined;

/** Loads the charts' code, for a screen that is about to draw some. */
export async function loadCharts(): Promise<Charts> {
  return (there ??= await import('./StackChart'));
}

const LazyStackChart = lazy(() => loadCharts().then((charts) => ({ default: charts.StackChart })));
const LazyTimesChart = lazy(() => loadCharts().then((charts) => ({ default: charts.TimesChart })));

/** Figures that add up, one above the other. */
export function StackChart(props: ComponentProps<Charts['StackChart']>) {
  const [Chart] = useState(() => there?.StackChart ?? LazyStackChart);
  return <Chart {...props} />;
}

/** Durations, each by itself. */
export function TimesChart(props: ComponentProps<Charts['TimesChart']>) {
  const [Chart] = useState(() => there?.TimesChart ?? LazyTimesChart);
  return <Chart {...props} />;
}
