// Repeats failed tests, once and alone, in lanes that allow it (`repeats` in lanes.mjs): there, daemons and browsers of
// others run at their own pace, and on a busy machine one of them may be late for once.
import { nodeTest, run, Tally } from './lane-run.mjs';

/** More failed tests than this in one run of all lanes are not repeated: that is no chance. */
export const MOST = 3;

/** The files of a lane's failed tests; undefined if the lane is not to be repeated. */
export function filesToRepeat({ lane, tally, own }) {
  if (!lane.repeats || own.length > 0) return undefined;
  const files = [...new Set(tally.failed.map(({ file }) => file))];
  return files.every((file) => lane.files.includes(file)) ? files : undefined;
}

/**
 * Runs the files again. Returns the failures whose tests passed now; none if anything else failed this time.
 * `output` receives what is printed.
 */
export async function repeat({ lane, tally }, files, env, output) {
  const again = new Tally();
  const shown = { ...lane, tests: 0 };
  const command = [...(await lane.place()), ...nodeTest({ ...lane, files })];
  const status = await run(command, env, shown, again, output);
  if (status !== 0 || !again.ended || again.failed.length > 0) return [];
  return tally.failed.filter(({ name }) => again.passed.includes(name));
}

/** The events of a lane, in which the failures that the repetition did not confirm are marked as such. */
export function withoutChance(events, names) {
  return events.map(({ type, data }) => {
    if (type !== 'test:fail') return { type, data };
    const todo = names.includes(data.name) ? 'failed, and passed when repeated' : undefined;
    const details = { ...data.details, error: undefined };
    return { type: 'test:pass', data: { ...data, details, todo } };
  });
}
