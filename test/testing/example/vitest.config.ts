import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    globals: true,
    globalSetup: ['nestjs-rls-tenants/testing/global-setup'],
  },
});
