/**
 * What to do where a request is refused for want of CAP_NET_ADMIN (capabilities(7)).
 * @module
 */

/** How to get it, the end of a sentence. */
export const GET_NET_ADMIN =
  'run it with sudo, in a container with --cap-add NET_ADMIN, as a service with ' +
  'AmbientCapabilities=CAP_NET_ADMIN, or, to try it, in a network namespace of your own ' +
  '(unshare -Urn)';
