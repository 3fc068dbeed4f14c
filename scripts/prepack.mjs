// Prepares what npm packs: prebuilt addons, and the bundled dist/ in place of the unbundled one of a clone.
import { bundle } from './bundle.mjs';
import { prebuild } from './prebuild.mjs';

prebuild();
await bundle();
