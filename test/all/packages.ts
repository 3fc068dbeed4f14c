/** Debian's packages of the daemons. @module */

export const STRONGSWAN = [
  'strongswan-charon',
  'strongswan-swanctl',
  'strongswan-libcharon',
  'libstrongswan-standard-plugins',
  'libstrongswan-extra-plugins',
] as const;

export const LIBRESWAN = ['libreswan'] as const;
