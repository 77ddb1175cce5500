import { defineConfig } from 'vite';

// One bundle for a headless browser: not split, not small.
export default defineConfig({
  base: './',
  esbuild: { jsx: 'automatic' },
  define: { 'process.env': {}, 'process.env.NODE_ENV': '"production"' },
  build: { target: "esnext", outDir: 'dist', minify: false, chunkSizeWarningLimit: 100000, sourcemap: false },
});
