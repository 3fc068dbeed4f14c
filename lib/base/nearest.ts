/** Finds the name that was meant. @module */

/** The number of letters to add, remove or change (Levenshtein distance). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const change = (row[j] as number) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(change, (row[j + 1] as number) + 1, (next[j] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

/** The name that is at most two edits away; of several, the nearest. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const [found] = known
    .map((one): [number, string] => [distance(name, one), one])
    .filter(([away]) => away <= 2)
    .sort(([a], [b]) => a - b);
  return found?.[1];
}

/** What to write instead of an unknown name: the one that was meant, or else all there are. */
export function instead(name: string, known: readonly string[], what: string): string {
  const meant = nearest(name, known);
  return meant === undefined ? `valid ${what}: ${known.join(', ')}` : `did you mean ${meant}?`;
}
