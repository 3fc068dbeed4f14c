/** The kernel's constants, under the kernel's names. @module */
export * from './netlink/constants.ts';
export * from './route/constants.ts';
export * from './xfrm/constants.ts';
