import { defineConfig } from 'vitest/config';

// KIND names what is run: e2e, the tests; shots, which make the pictures of the documentation; paint, which times screens.
const kind = process.env.KIND ?? 'e2e';

export default defineConfig({
  root: import.meta.dirname,
  test: {
    include: [`**/*.${kind}.ts`],
    maxWorkers: 2,
    isolate: false, // one browser for all files of a worker
    testTimeout: kind === 'e2e' ? 300_000 : 600_000, // only what hangs takes so long: a slow machine may do other things too
    hookTimeout: 120_000,
    expect: { poll: { timeout: 45_000, interval: 100 } }, // a second, vitest's own, is too short for a browser beside other work
    reporters: ['default', './failures.ts'],
  },
});
