import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['*.vitest.mjs'], testTimeout: 30_000, hookTimeout: 30_000 },
});
