/** Copies of objects whose members are quick to read. @module */

/**
 * A copy with the hidden class of an ordinary object.
 *
 * In Node 20, an object made by spreading others, with a member after them (`{ ...one, more }`), has
 * a hidden class that no other object has: V8 looks each member up anew, in about 100 ns, and leaves
 * the class to the garbage collector. This copy takes about as long as one such look-up.
 */
export const shallowCopy = <Value extends object>(value: Value): Value =>
  // Assigned, a member of this name would become the prototype.
  Object.hasOwn(value, '__proto__') ? { ...value } : Object.assign({}, value);

/** Whether an object is of no class, so that all its members are its own. */
export function isClassless(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
