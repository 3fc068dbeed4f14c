// Prepares what npm packs: prebuilt addons, the bundled dist/ in place of the unbundled one of a clone, and src/.
import { amalgamate } from './amalgamate.mjs';
import { bundle } from './bundle.mjs';
import { prebuild } from './prebuild.mjs';

prebuild();
await bundle();
amalgamate();
