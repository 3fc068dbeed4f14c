// npm run bench: set up, then the benchmark (bench/main.ts).
import { setup } from './setup.mjs';

await setup();
await import('../dist/bench/main.js');
