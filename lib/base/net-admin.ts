/**
 * What to do when a request is refused for lack of CAP_NET_ADMIN (capabilities(7)).
 * @module
 */

/** How to get it; completes a sentence. */
export const GET_NET_ADMIN =
  'run it with sudo, in a container with --cap-add NET_ADMIN, as a service with ' +
  'AmbientCapabilities=CAP_NET_ADMIN, or, to try it, in a network namespace of your own ' +
  '(unshare -Urn)';
