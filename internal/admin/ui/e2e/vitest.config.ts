import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: import.meta.dirname,
  test: {
    include: ['**/*.e2e.ts'],
    maxWorkers: 2,
    isolate: false, // one browser for all files of a worker
    testTimeout: 120_000, // a slow machine that does other things too
    hookTimeout: 60_000,
  },
});
