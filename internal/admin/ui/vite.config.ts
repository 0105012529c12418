import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// `npm run dev` asks the API of the server that runs here (make run).
const server = process.env.LLM_PROXY_URL ?? 'http://127.0.0.1:8080';
const proxied = { target: server, changeOrigin: false };

export default defineConfig({
  base: './', // the same files lie under /admin/ of the local server and at / of a distribution
  plugins: [react()],
  build: {
    target: 'es2022',
    emptyOutDir: false, // dist/placeholder.html stays; tools/build.sh removes the rest
    assetsInlineLimit: 0, // the policy lets files of our own in, and data: for images alone
    modulePreload: { polyfill: false }, // would be an inline script
    chunkSizeWarningLimit: 1000, // e2e/budget.e2e.ts has the limit
  },
  server: { proxy: { '/manage': proxied, '/admin/api': proxied, '/v1': proxied } },
  test: { include: ['src/**/*.test.{ts,tsx}'], restoreMocks: true, testTimeout: 60_000 }, // a slow machine may do other things too
});
