/**
 * The rtnetlink codec: a third of the library's code, which costs nothing until {@link rtnetlink}
 * in load.ts loads it.
 * @module
 */

export * as address from './address-requests.ts';
export { decodeRoute } from './decode.ts';
export { familyNamed } from './families.ts';
export * as link from './link-requests.ts';
export * as other from './other-requests.ts';
export { requestOf } from './question.ts';
export * as route from './route-requests.ts';
