/**
 * What rtnetlink's messages need: a third of the library's code, which costs nothing until it is loaded
 * by {@link rtnetlink} in load.ts.
 * @module
 */

export * as address from './address-requests.ts';
export { decodeRoute } from './decode.ts';
export { familyNamed } from './families.ts';
export * as link from './link-requests.ts';
export * as other from './other-requests.ts';
export { requestOf } from './question.ts';
export * as route from './route-requests.ts';
