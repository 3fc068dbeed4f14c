// What npm packs: prebuilt addons and the bundled dist/, which take the place of what a clone works with.
import { bundle } from './bundle.mjs';
import { prebuild } from './prebuild.mjs';

prebuild();
await bundle();
