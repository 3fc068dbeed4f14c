/**
 * The kernel's numbers under its own names.
 * @module
 */
export * from './netlink/constants.ts';
export * from './route/constants.ts';
export * from './xfrm/constants.ts';
