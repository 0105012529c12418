import { defineConfig } from 'vitest/config';

// KIND names what is run: e2e, the tests; shots, which make the pictures of the documentation; paint, which times screens.
const kind = process.env.KIND ?? 'e2e';

export default defineConfig({
  root: import.meta.dirname,
  test: {
    include: [`**/*.${kind}.ts`],
    maxWorkers: 2,
    isolate: false, // one browser for all files of a worker
    testTimeout: kind === 'e2e' ? 120_000 : 600_000, // a slow machine that does other things too
    hookTimeout: 60_000,
  },
});
